"""Rules about CUDA."""
