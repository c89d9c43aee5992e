import msgpack
import msgpack._cmsgpack

assert msgpack.Packer is msgpack._cmsgpack.Packer, "the slow packer is used"
document = {"a": [1, 2.5, None, b"bytes", "text"], "b": {"c": True}}
assert msgpack.unpackb(msgpack.packb(document)) == document
