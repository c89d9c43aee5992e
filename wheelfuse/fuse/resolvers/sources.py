"""Python source that differs: a dispatching module at the old path runs the variant of the running CPython."""

from __future__ import annotations

import posixpath

from wheelfuse.fuse.dispatcher import dispatcher
from wheelfuse.fuse.model import (
    Case,
    Conflict,
    File,
    Inline,
    Output,
    Resolution,
    Settled,
    labels,
    variant_path,
)
from wheelfuse.fuse.originals import digest_of
from wheelfuse.fuse.resolvers.context import Context
from wheelfuse.target import Target

RULE = "dispatched"


def resolve(case: Case, context: Context) -> Settled | Conflict | None:
    if not is_importable_source(case.path) or case.absent or len(case.variants) < 2:
        return None
    return dispatched(case) if can_dispatch(case) else None


def can_dispatch(case: Case) -> bool:
    """Whether the running CPython tells the variants apart: only one of them may be for whoever is left over."""
    others = {original.files[case.path].digest for original in case.owners if original.target is None}
    return len(others) <= 1


def is_importable_source(path: str) -> bool:
    """Whether the path is Python source that installs into site-packages, not a script or data."""
    if not path.endswith(".py"):
        return False
    top, _, rest = path.partition("/")
    return not top.endswith(".data") or rest.startswith(("purelib/", "platlib/"))


def dispatched(case: Case) -> Settled:
    """A dispatcher, and beside it each variant; CPythons whose wheel has no such file find no module."""
    outputs: list[Output] = []
    chosen: dict[Target, str | None] = {}
    default = None
    for originals in case.variants.values():
        path = variant_path(case.path, originals)
        outputs.append(case.output(originals, path))
        for original in originals:
            if original.target:
                chosen[original.target] = posixpath.basename(path)
            else:
                default = posixpath.basename(path)
    chosen |= {target: None for original in case.absent for target in original.serves}
    content = dispatcher(posixpath.basename(case.path), chosen, default)
    made = File(digest_of(content), len(content), case.mode(case.owners), Inline(content))
    variants = ", ".join(posixpath.basename(output.path) for output in outputs)
    resolution = Resolution(
        RULE, case.path, labels(case.owners), f"runs the variant of the running CPython: {variants}"
    )
    return Settled((Output(case.path, made, (), ""), *outputs), (resolution,))
