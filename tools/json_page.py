"""The page of all JSON documents, from their schemas: docs/reference/json.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wheelfuse

SCHEMAS = Path(wheelfuse.__file__).parent / "report" / "schemas"

Schema = dict[str, Any]


def page() -> str:
    """The page: a section for each schema, with a table for the document and for each definition in it."""
    parts = [
        "<!-- Written by `make docs` (tools/json_page.py). Change wheelfuse/report/schemas instead. -->",
        "# JSON",
        "What the commands print with `--json` and `--format json`, and what a fused wheel says of its origin. Each\n"
        "document names its schema; within one version of a schema nothing is taken away or changes its meaning. The\n"
        "schemas themselves, in JSON Schema, are files of the package: `wheelfuse/report/schemas/`.",
    ]
    for path in sorted(SCHEMAS.glob("*.json")):
        parts += _section(path.stem, json.loads(path.read_text(encoding="utf-8")))
    return "\n\n".join(parts) + "\n"


def _section(name: str, schema: Schema) -> Iterator[str]:
    yield f"## {name}"
    yield f"{schema['title']}."
    for variant in schema.get("anyOf") or schema.get("oneOf") or [schema]:
        if variant is not schema and (text := variant.get("description")):
            yield f"**{text.rstrip('.')}:**"
        yield from _table(name, variant)
    for definition, content in schema.get("definitions", {}).items():
        table = list(_table(name, content))
        yield f'<a id="{name}-{definition}"></a>\n**{definition}**: {_type(name, content)}{_text(content, ". ")}'
        yield from table


def _table(name: str, schema: Schema) -> Iterator[str]:
    if rows := list(_rows(name, schema, "")):
        yield "\n".join(("| Key | Value | |", "| --- | --- | --- |", *rows))


def _rows(name: str, schema: Schema, above: str) -> Iterator[str]:
    """A row for each key of an object, and for those of the objects within that have no name."""
    required = schema.get("required", ())
    for key, value in schema.get("properties", {}).items():
        optional = "" if key in required else "optional. "
        yield f"| `{above}{key}` | {_type(name, value)} | {optional}{_text(value)} |"
        inner, path = value, f"{above}{key}"
        while inner.get("type") == "array" and isinstance(inner.get("items"), dict):
            inner, path = inner["items"], f"{path}[]"
        yield from _rows(name, inner, f"{path}.")
    if isinstance(other := schema.get("additionalProperties"), dict):
        yield f"| `{above}*` | {_type(name, other)} | {_text(other)} |"
        yield from _rows(name, other, f"{above}*.")


def _type(name: str, schema: Schema) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        target = schema["$ref"].rpartition("/")[2]
        return f"[{target}](#{name}-{target})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'], ensure_ascii=False)}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value, ensure_ascii=False)}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(name, one) for one in schema[several]))
    kind = schema.get("type", "anything")
    if kind == "array":
        return _list(name, schema)
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _list(name: str, schema: Schema) -> str:
    items = schema.get("items")
    if schema.get("maxItems") == 0:
        return "empty list"
    if isinstance(items, list):  # one schema for each place
        return f"list: {', '.join(_type(name, item) for item in items)}"
    return f"list of {_type(name, items)}" if items else "list"


def _text(schema: Schema, before: str = "") -> str:
    text = " ".join(schema.get("description", "").split())
    return before + text.replace("|", r"\|").replace("<", "&lt;") if text else ""
