"""The report page as HTML: one file that needs nothing else, and lets nothing run but what it brings.

- Every value goes through `printable` once and is escaped, by the environment and not by the templates. What scripts
  read is JSON that cannot end its element (`compact.json_text`).
- The Content-Security-Policy names the only style sheet and the only script by their SHA-256; nothing can be loaded.
- Without the script all is there but the symbols one by one, and of many members of a fused wheel the largest only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.resources import files

import jinja2
from markupsafe import Markup

from wheelfuse.auditing.report import Outcome
from wheelfuse.escape import printable
from wheelfuse.report.audit_parts import LEGEND, PLURALS, count, python, pythons
from wheelfuse.report.page import compact, parts
from wheelfuse.report.page.contents import CANVAS, Contents
from wheelfuse.report.page.model import Page
from wheelfuse.report.rules_text import blocks
from wheelfuse.report.text import RESOLVED_BY
from wheelfuse.sizes import human_size

MOST_MEMBERS = 100
"""How many members of a fused wheel are shown without the script, the largest."""

_GOOD = {Outcome.LOADS: "loads"}


def render(page: Page) -> str:
    """The page as one HTML document, which ends with a line break."""
    style, script = asset("style.css"), asset("script.js")
    contents = tuple(Contents(item.contents) for item in page.inputs)
    before = Contents(page.fused.before) if page.fused and page.fused.before else None
    tables = tuple(table for item in page.inputs for table in item.tables)
    members = sorted(page.fused.members, key=lambda origin: (-origin.size, origin.path)) if page.fused else []
    document = environment().get_template("page.html.j2")
    text = document.render(
        page=page,
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        contents=contents,
        before=before,
        canvas=CANVAS,
        cards=parts.cards(page.findings),
        goals=parts.goals(page.roads),
        members=members[:MOST_MEMBERS],
        maps=Markup(compact.maps((*contents, before) if before else contents)),
        member_data=Markup(compact.members(members).as_json()) if members else "",
        symbol_data=Markup(compact.symbols(tables).as_json()) if tables else "",
    )
    return f"{text.rstrip()}\n"


def prose(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The paragraphs of an explanation: ``("p", (sentence,))``, ``("ul", items)``, ``("pre", lines)``."""
    for paragraph in text.strip("\n").split("\n\n"):
        if paragraph.startswith(" "):
            yield "pre", tuple(paragraph.splitlines())
        elif paragraph.startswith(("- ", "* ")):
            yield "ul", tuple(block[2:] for block in blocks(paragraph))
        elif paragraph.strip():
            yield "p", tuple(blocks(paragraph))


def literals(text: str) -> Iterator[tuple[bool, str]]:
    """The pieces of a sentence, and whether each is in backticks: names as in code."""
    for number, piece in enumerate(text.replace("``", "`").split("`")):
        if piece:
            yield bool(number % 2), piece


def asset(name: str) -> str:
    """A file of this package: the style, the script."""
    return files("wheelfuse.report.page").joinpath(name).read_text(encoding="utf-8")


def policy(style: str, script: str) -> str:
    """What the page may do (Content Security Policy Level 3): run this script, use this style, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "img-src data:",  # the empty icon, without which browsers ask a server for one
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        )
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _shown(value: object) -> object:
    """What stands for a value in the page: text made printable; markup only if this package made it."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def environment() -> jinja2.Environment:
    """The templates, and what they have in common: everything is escaped, and names are made printable before."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wheelfuse.report.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"size": human_size, "python": python, "pythons": pythons, "count": count}
    environment.globals |= {
        "parts": parts,
        "prose": prose,
        "literals": literals,
        "outcomes": _GOOD | LEGEND,
        "severities": PLURALS,
        "resolved_by": RESOLVED_BY,
    }
    return environment
