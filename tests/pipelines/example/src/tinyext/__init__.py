from tinyext._c import built_for

__all__ = ["built_for"]
