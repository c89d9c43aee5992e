"""What the JSON documents of all commands share: how they are written, and how they tell what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from wheelfuse.errors import Problem, WheelfuseError


def dumped(document: Mapping[str, Any]) -> str:
    r"""*document* as JSON in ASCII: no name in it steers a terminal, whatever the encoding of standard output.

    Nor does ``##[error]`` reach the log of a CI system as such: it is written ``#\u0023[error]``.
    """
    return re.sub(r"#(?=#)", r"\\u0023", json.dumps(document, indent=1))


def problems_document(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """What is wrong, each with its place and what to do about it."""
    return [{"wheel": p.wheel, "member": p.member, "what": p.what, "todo": p.todo} for p in problems]


def refusal_document(command: str, error: WheelfuseError) -> dict[str, Any]:
    """The document of a command (``merge``, ``audit``) that did not get to an outcome."""
    return {"schema": f"wheelfuse/{command}/1", "ok": False, "errors": problems_document(error.problems)}
