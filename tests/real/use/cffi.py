from cffi import FFI

ffi = FFI()
ffi.cdef("size_t strlen(const char *); struct point { int x, y; };")
assert ffi.dlopen(None).strlen(b"seven..") == 7
assert ffi.new("struct point *", {"x": 3, "y": 4}).y == 4
