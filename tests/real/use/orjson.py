import orjson

document = {"a": [1, 2.5, None, "text"], "b": {"c": True}}
assert orjson.loads(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)) == document
