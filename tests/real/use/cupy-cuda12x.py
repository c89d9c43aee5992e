import cupy

assert cupy.__version__ == "14.2.0"
assert cupy.ndarray.__module__ == "cupy"
