import yaml

document = {"a": [1, 2.5, None, "text"], "b": {"c": True}}
text = yaml.dump(document, Dumper=yaml.CSafeDumper)
assert yaml.load(text, Loader=yaml.CSafeLoader) == document
assert yaml.__with_libyaml__
