"""Rules about libtorch."""
