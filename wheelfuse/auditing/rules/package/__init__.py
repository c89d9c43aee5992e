"""Rules about the package: zip, RECORD, names, tags."""
