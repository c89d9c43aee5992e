"""Files that are sets of lines (``top_level.txt``, the RECORD of a vendored package), made into one."""

from __future__ import annotations

from collections.abc import Sequence

from wheelfuse.fuse.reconcile.variant import Reconciled, Variant, conflict, group, name_targets, newest_first


def reconcile_lines(variants: Sequence[Variant]) -> Reconciled:
    """Every line that any variant has, once, in order of first appearance from the newest variant on.

    Lines end in ``\\n``, blank ones are left out. Content that is not UTF-8 text is a conflict.
    """
    ordered = newest_first(variants)
    binary = [target for variant in ordered if not _is_text(variant.content) for target in variant.targets]
    if binary:
        return conflict(f"in {name_targets(binary)} it is not UTF-8 text, so its lines cannot be joined")
    lines = {variant: _lines(variant) for variant in ordered}
    owners = group((variant.targets, line) for variant, found in lines.items() for line in found)
    merged = dict.fromkeys(line for found in lines.values() for line in found)
    extra = group((owners[line], line) for line in merged if line not in lines[ordered[0]])
    newest = name_targets(ordered[0].targets)
    sources: dict[str, int] = {}
    for targets in extra.values():
        sources[name_targets(targets)] = sources.get(name_targets(targets), 0) + 1
    notes = tuple(
        f"lines that {newest} lacks, added from {names}: {count}" for names, count in sources.items()
    )
    return Reconciled("".join(f"{line}\n" for line in merged).encode(), notes)


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _lines(variant: Variant) -> dict[str, None]:
    # bytes.splitlines ends lines at \n, \r\n and \r only; str.splitlines would also cut at form feeds.
    lines = (line.decode() for line in variant.content.splitlines())
    return dict.fromkeys(line for line in lines if line.strip())
