"""Rules about inputs that cannot be read."""
