"""Extension modules and libraries: side by side, renamed, rewritten, or one copy for all."""

from __future__ import annotations

from collections import defaultdict

from wheelfuse.elf.image import Image, interchangeable
from wheelfuse.fuse.binding import is_bound, is_reached, leaks
from wheelfuse.fuse.model import Case, Conflict, Original, Output, Rename, Resolution, Settled, labels
from wheelfuse.fuse.modules import ModuleName, extension_module, parse_module
from wheelfuse.fuse.resolvers.context import Context


def resolve(case: Case, context: Context) -> Settled | Conflict | None:
    images = [image for original in case.owners if (image := context.binding.image(original, case.path))]
    if len(images) != len(case.owners):
        return None
    module = extension_module(case.path, images[-1])
    if module and module.target:
        return _side_by_side(case, module, context)
    if case.path in context.binding.per_target:
        return _per_target(case, module, context)
    if len(case.variants) == 1:
        return _one_sided(case, module, context)
    if len({image.loaded_digest for image in images}) == 1:
        why = "differed in bytes that are never loaded"
        return case.collapsed(
            why, "never-loaded", f"differs in bytes that are never loaded: {case.newest.label}'s kept"
        )
    return _one_copy(case, module, images, context)


def _side_by_side(case: Case, module: ModuleName, context: Context) -> Settled | Conflict:
    """A suffix that one CPython imports: the file stays where it is, with its DT_NEEDED brought up to date."""
    if len(case.variants) > 1:
        return Conflict(
            case.path,
            f"a module for {module.target} alone, of which other wheels carry a stale copy that differs",
            case.groups,
            (str(module.target), "newest", "oldest"),
        )
    settled = _edited(case, {case.path: case.owners}, "side-by-side", context)
    return settled if any(output.rename for output in settled.outputs) else Settled(settled.outputs)


def _per_target(case: Case, module: ModuleName | None, context: Context) -> Settled | Conflict:
    """One file for each original, under a name that only its CPython looks for."""
    places: dict[str, tuple[Original, ...]] = defaultdict(tuple)
    for original in case.owners:
        path = context.binding.new_path(original, case.path)
        if path is None:
            reason = f"the extension suffix of {original.label} on its machine is not known"
            return Conflict(case.path, reason, case.groups, ("newest", "oldest", "drop"))
        places[path] += (original,)
    for path, originals in places.items():
        taken = path != case.path and any(path in original.files for original in case.originals)
        clash = len({original.files[case.path].digest for original in originals}) > 1
        if taken or clash:
            reason = f"{path} would have two contents" if clash else f"its new name {path} is taken"
            return Conflict(case.path, reason, case.groups, ("newest", "oldest", "drop"))
    leftover = tuple(original for original in places.get(case.path, ()) if original.target is None)
    if (
        module
        and leftover
        and leaks(Case(case.path, (*leftover, *case.absent)), module, context.binding.linkages)
    ):
        reason = "a module that CPythons without it would import from another wheel"
        return Conflict(case.path, reason, case.groups, ("keep", "drop"))
    return _edited(case, places, "renamed" if module else "per-target", context)


def _edited(case: Case, places: dict[str, tuple[Original, ...]], rule: str, context: Context) -> Settled:
    outputs: list[Output] = []
    told: list[str] = []
    for path, originals in places.items():
        edits: dict[Rename | None, tuple[Original, ...]] = defaultdict(tuple)
        for original in originals:
            edits[context.binding.rename(original, case.path)] += (original,)
        # One path, one edit: a stale copy in another wheel is not what its own CPython loads.
        rename = context.binding.rename(originals[-1], case.path) if len(edits) > 1 else next(iter(edits))
        outputs.append(case.output(originals, path, rename))
        if rename and rename.needed:
            told.append(f"{labels(originals)[-1]} links {', '.join(new for _, new in rename.needed)}")
    names = ", ".join(output.path.rpartition("/")[2] for output in outputs)
    outcome = names if rule != "side-by-side" else "; ".join(told)
    return Settled(tuple(outputs), (Resolution(rule, case.path, labels(case.owners), outcome),))


def _one_sided(case: Case, module: ModuleName | None, context: Context) -> Settled | Conflict:
    """The same file in some wheels only: harmless if the others cannot stumble on it."""
    if module and leaks(case, module, context.binding.linkages):
        reason = "a module that only some wheels have, and the others would import"
        return Conflict(case.path, reason, case.groups, ("keep", "drop"))
    if module or is_reached(case, context.binding.linkages):
        return Settled((case.output(case.owners),))
    reason = "a library that only some wheels have, and that none of their modules links"
    return Conflict(case.path, reason, case.groups, ("keep", "drop"))


def _one_copy(
    case: Case, module: ModuleName | None, images: list[Image], context: Context
) -> Settled | Conflict:
    """Libraries that only look different, and those that nobody can tell apart safely."""
    if module is None and is_bound(case, context.binding.linkages):
        reason = (
            "a library bound to one CPython that no file links: it is opened by name, so it cannot be renamed"
        )
        return Conflict(case.path, reason, case.groups, ("newest", "oldest", "rename", "drop"))
    reasons = [reason for image in images[1:] if (reason := interchangeable(images[0], image))]
    if module is None and not reasons and not case.absent and not context.strict:
        outcome = f"builds of one library, interchangeable: {case.newest.label}'s kept"
        return case.collapsed("a build of the same library was kept", "interchangeable", outcome)
    if module is None and parse_module(case.path) and not is_reached(case, context.binding.linkages):
        reasons = reasons or ["neither an importable module nor linked by any file"]
    reason = "builds of one library that differ" + (f" ({reasons[0]})" if reasons else " (--strict)")
    return Conflict(case.path, reason, case.groups, ("newest", "oldest", "rename"))
