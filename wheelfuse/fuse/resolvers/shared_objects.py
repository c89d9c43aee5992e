"""Extension modules and libraries: side by side, renamed, rewritten, or one copy for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wheelfuse.abi.modules import ModuleName, extension_module, parse_module
from wheelfuse.elf.image import Image, interchangeable
from wheelfuse.fuse.binding import is_bound, is_reached, leaks
from wheelfuse.fuse.model import Case, Conflict, Original, Output, Resolution, Settled, labels
from wheelfuse.fuse.resolvers.context import Context


def resolve(case: Case, context: Context) -> Settled | Conflict | None:
    images = [image for original in case.owners if (image := context.binding.image(original, case.path))]
    if len(images) != len(case.owners):
        named = parse_module(case.path)
        # One that is no ELF file after all: the contract check says so.
        return (
            Settled((case.output(case.owners),))
            if named and named.target and len(case.variants) == 1
            else None
        )
    module = extension_module(case.path, images[-1])
    if module and module.target:
        return _side_by_side(case, module, context)
    if case.path in context.binding.per_target:
        return _per_target(case, module, context)
    if case.absent and (conflict := _intruder(case, module, context)):
        return conflict
    if len(case.variants) == 1:
        return Settled((case.output(case.owners),))
    if len({image.loaded_digest for image in images}) == 1:
        outcome = f"differs in bytes that are never loaded: {case.newest.label}'s kept"
        return case.collapsed("differed in bytes that are never loaded", "never-loaded", outcome)
    return _one_copy(case, images, context)


def _side_by_side(case: Case, module: ModuleName, context: Context) -> Settled | Conflict:
    """A suffix that one CPython imports: the file stays where it is, with its DT_NEEDED brought up to date."""
    if len(case.variants) > 1:
        return Conflict(
            case.path,
            f"a module for {module.target} alone, of which other wheels carry a stale copy that differs",
            case.groups,
            ("newest", "oldest", *(o.label for o in case.owners if o.target == module.target)),
        )
    # Only its own CPython loads it: a stale copy in another wheel gets the names that count there.
    loader = next((o for o in case.owners if o.target == module.target), case.newest)
    rename = context.binding.rename(loader, case.path)
    output = case.output(case.owners, rename=rename)
    if rename is None:
        return Settled((output,))
    outcome = f"{loader.label} links {', '.join(new for _, new in rename.needed)}"
    return Settled((output,), (Resolution("side-by-side", case.path, labels(case.owners), outcome),))


def _per_target(case: Case, module: ModuleName | None, context: Context) -> Settled | Conflict:
    """One file for each original, under a name that only its CPython looks for."""
    if module and not context.binding.initialises(case.newest, case.path):
        reason = "named as an extension module, but opened by its name: it cannot have another one for each CPython"
        return Conflict(case.path, reason, case.groups, ("newest", "oldest", "drop"))
    places: dict[str, tuple[Original, ...]] = defaultdict(tuple)
    for original, path in _new_paths(case, module, context):
        if path is None:
            reason = f"the extension suffix of {original.label} on its machine is not known"
            return Conflict(case.path, reason, case.groups, ("newest", "oldest", "drop"))
        places[path] += (original,)
    for path, originals in places.items():
        taken = path != case.path and any(path in original.files for original in case.originals)
        if taken or len({original.files[case.path].digest for original in originals}) > 1:
            reason = f"its new name {path} is taken" if taken else _CLASH
            return Conflict(case.path, reason, case.groups, ("newest", "oldest", "drop"))
    leftover = tuple(original for original in places.get(case.path, ()) if original.target is None)
    if (
        module
        and leftover
        and leaks(Case(case.path, (*leftover, *case.absent)), module, context.binding.trees)
    ):
        return _leak(case)
    outputs = []
    for path, originals in places.items():
        renames = {context.binding.rename(original, case.path) for original in originals}
        if len(renames) > 1:
            reason = f"{path} would have to link different libraries for {', '.join(labels(originals))}"
            return Conflict(case.path, reason, case.groups, ("newest", "oldest", "drop"))
        outputs.append(case.output(originals, path, renames.pop()))
    return _told(case, tuple(outputs), "renamed" if module else "per-target")


def _new_paths(
    case: Case, module: ModuleName | None, context: Context
) -> Iterator[tuple[Original, str | None]]:
    """Where each owner's file goes.

    Of several wheels that are for more than one CPython each (generations of abi3), the newest keeps the name that
    is open to all, and the others get one for each CPython that is left to them.
    """
    several = [original for original in case.owners if original.target is None]
    for original in case.owners:
        older = module and original in several[:-1]
        if older and original.files[case.path].digest != several[-1].files[case.path].digest:
            for target in original.serves:
                yield original, context.binding.soabi_path(original, case.path, target)
        else:
            yield original, context.binding.new_path(original, case.path)


_CLASH = (
    "differing files of one name in wheels that are for several CPythons each: no suffix tells them apart"
)


def _told(case: Case, outputs: tuple[Output, ...], rule: str) -> Settled:
    names = ", ".join(output.path.rpartition("/")[2] for output in outputs)
    return Settled(outputs, (Resolution(rule, case.path, labels(case.owners), names),))


def _intruder(case: Case, module: ModuleName | None, context: Context) -> Conflict | None:
    """A file that only some wheels have, if the others' CPythons could stumble on it."""
    if module:
        return _leak(case) if leaks(case, module, context.binding.trees) else None
    if is_reached(case, context.binding.trees):
        return None
    reason = "a library that only some wheels have, and that none of their modules links"
    return Conflict(case.path, reason, case.groups, ("keep", "drop"))


def _leak(case: Case) -> Conflict:
    reason = "a module that only some wheels have, and the others would import"
    return Conflict(case.path, reason, case.groups, ("keep", "drop"))


def _one_copy(case: Case, images: list[Image], context: Context) -> Settled | Conflict:
    """Libraries that only look different, and those that nobody can tell apart safely."""
    if is_bound(case, context.binding.trees):
        reason = (
            "a library bound to one CPython that no file links: it is opened by name, so it cannot be renamed"
        )
        return Conflict(case.path, reason, case.groups, ("newest", "oldest", "drop"))
    difference = interchangeable(images)
    if not difference and not context.strict:
        outcome = f"builds of one library, interchangeable: {case.newest.label}'s kept"
        return case.collapsed("a build of the same library was kept", "interchangeable", outcome)
    reason = f"builds of one library that differ ({difference or '--strict'})"
    rename = ("rename",) if is_reached(case, context.binding.trees) else ()
    return Conflict(case.path, reason, case.groups, ("newest", "oldest", *rename))
