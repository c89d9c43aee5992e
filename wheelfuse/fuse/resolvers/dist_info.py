"""Files of ``.dist-info`` directories: reconciled, united, or kept side by side."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence

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
from wheelfuse.fuse.reconcile.lines import reconcile_lines
from wheelfuse.fuse.reconcile.variant import Reconciled, Variant
from wheelfuse.fuse.resolvers.context import Context

_LICENSE = re.compile(
    r"(licen[cs]es?|license_files)/|(licen[cs]e|copying|notice|authors|copyright)\b[^/]*$", re.I
)
_UNITED = ("top_level.txt", "namespace_packages.txt", "dependency_links.txt")


def resolve(case: Case, context: Context) -> Settled | Conflict | None:
    directory, _, name = case.path.partition("/")
    if directory == context.dist_info:
        return _own(case, name, context)
    if ".dist-info/" in case.path:  # of a vendored project
        return (
            _united(case) if len(case.variants) == 1 else _reconciled(case, "lines", reconcile_lines, context)
        )
    return None


def _own(case: Case, name: str, context: Context) -> Settled | Conflict | None:
    if name == "METADATA":
        from wheelfuse.fuse.reconcile.metadata import reconcile_metadata  # parsers that take long to load

        return _reconciled(case, "metadata", reconcile_metadata, context)
    if name == "entry_points.txt":
        from wheelfuse.fuse.reconcile.entry_points import reconcile_entry_points

        return _reconciled(case, "entry-points", reconcile_entry_points, context)
    if name in _UNITED:
        return _reconciled(case, "lines", reconcile_lines, context)
    if name.startswith("sboms/") or _LICENSE.match(name):
        return _united(case) if len(case.variants) == 1 else _side_by_side(case, name)
    return None


def _united(case: Case) -> Settled:
    """A file that only some wheels have, and nothing imports: all get it."""
    resolution = Resolution("united", case.path, labels(case.owners), "kept for all")
    return Settled((case.output(case.owners),), (resolution,))


def _side_by_side(case: Case, name: str) -> Settled:
    """Every variant survives, named by the targets whose wheels have it.

    The newest licence stays where it is, since METADATA's License-File names it.
    """
    newest = None if name.startswith("sboms/") else case.newest
    outputs = tuple(
        case.output(originals, case.path if newest in originals else variant_path(case.path, originals))
        for originals in case.variants.values()
    )
    names = ", ".join(posixpath.basename(output.path) for output in outputs)
    return Settled(outputs, (Resolution("all-kept", case.path, labels(case.owners), names),))


def _reconciled(
    case: Case, rule: str, reconcile: Callable[[Sequence[Variant]], Reconciled], context: Context
) -> Settled | Conflict:
    variants = context.texts(case)
    result = reconcile(variants) if variants else Reconciled(None, (), ("too large to compare",))
    if result.content is None:
        reason = "the wheels disagree, and no rule says who is right"
        return Conflict(case.path, reason, case.groups, ("newest", "oldest"), result.conflicts)
    digest = digest_of(result.content)
    owners = case.variants.get(digest, ())
    if owners:
        output = case.output(owners)
    else:
        file = File(digest, len(result.content), case.mode(case.owners), Inline(result.content))
        output = Output(case.path, file, (), "")
    outcome = "; ".join(result.notes) or "the same but for order and spelling"
    return Settled((output,), (Resolution(rule, case.path, labels(case.owners), outcome),))
