"""The page that a command would draw: what its renderer is given, and sums over blocks."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import wheelfuse
from tests.fuse.merging import command
from wheelfuse.auditing.options import AuditOptions
from wheelfuse.auditing.runner import applied_rules
from wheelfuse.report.page.audited import page_of_audit
from wheelfuse.report.page.blocks import leaves
from wheelfuse.report.page.model import Block, Page, Stuff

RENDER = "wheelfuse.report.page.render"
DRAWN = "<!doctype html>\n"


def audited(*paths: Path, **arguments: Any) -> Page:
    """The page of an audit."""
    report = wheelfuse.audit(paths, facts=True, **arguments)
    return page_of_audit(report, applied_rules(AuditOptions()))


@contextmanager
def drawn() -> Iterator[list[Page]]:
    """The pages that are given to the renderer, which makes next to nothing of them."""
    pages: list[Page] = []

    def render(page: Page) -> str:
        pages.append(page)
        return DRAWN

    stand_in = types.ModuleType(RENDER)
    vars(stand_in)["render"] = render
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, RENDER, stand_in)
        yield pages


def merged(*arguments: object) -> tuple[int, Page]:
    """Exit code and page of ``wheelfuse merge --report``."""
    with drawn() as pages:
        code, _, _ = command("merge", *arguments)
    (page,) = pages
    return code, page


def of_stuff(block: Block, stuff: Stuff) -> int:
    """Bytes of one kind in a block."""
    return sum(leaf.size for leaf in leaves(block) if leaf.stuff is stuff)


def adds_up(block: Block) -> bool:
    """Whether the parts of each block have its bytes, installed and packed."""
    return not block.parts or (
        sum(part.size for part in block.parts) == block.size
        and sum(part.packed for part in block.parts) == block.packed
        and all(map(adds_up, block.parts))
    )


def at(block: Block, *names: str) -> Block:
    """The block that these names lead to, from the root on."""
    for name in names:
        (block,) = (part for part in block.parts if part.name == name)
    return block
