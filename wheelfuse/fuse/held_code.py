"""Reads the GPU code of files of a plan that others may hold as well: what it is, and what of it may be moved.

Headers tell which files these are (`wheelfuse.fuse.model.SeenCode`): of most wheels nothing has to be read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from wheelfuse.content import Content, pieces
from wheelfuse.elf.fatbin import Container
from wheelfuse.errors import InvalidInput
from wheelfuse.fuse.contents import Archives, content_of
from wheelfuse.fuse.device_code import form, forms
from wheelfuse.fuse.model import HeldCode, HeldContainer, Output, SeenCode
from wheelfuse.workers import threads


def read_held_code(
    archives: Archives, outputs: Sequence[Output], seen: Mapping[str, SeenCode], *, names: bool
) -> dict[str, HeldCode]:
    """The GPU code that the outputs hold, by the digest of the file.

    With *names* also how it may get other names, so that all of it has to be read.

    Raises:
        InvalidInput: an input is not what was verified before.
        UsageError: *names*, and a library that decompresses is missing.
    """
    count = forms(outputs, seen)
    files = {output.file.digest: output.file for output in outputs if output.file.digest in seen}
    wanted = {
        digest: frozenset(held for held in seen[digest].containers if names or count[form(held)] > 1)
        for digest in files
    }

    def read(digest: str) -> HeldCode:
        with content_of(archives, files[digest]) as content:
            return _held_code(content, seen[digest], wanted[digest], names=names)

    found = {digest: seen[digest].left for digest in files}
    largest_first = sorted(filter(wanted.get, files), key=lambda digest: -files[digest].size)
    with ThreadPoolExecutor(threads()) as pool:
        found.update(zip(largest_first, pool.map(read, largest_first), strict=True))
    return found


def _held_code(content: Content, seen: SeenCode, wanted: Collection[Container], *, names: bool) -> HeldCode:
    from wheelfuse.elf.module_ids import FileNaming, read_naming  # slow to load: most wheels have no GPU code
    from wheelfuse.elf.outsource import immovable

    try:
        obstacles = immovable(content, seen.containers)
        naming = read_naming(content, seen.containers) if names else FileNaming()
    except InvalidInput as error:
        return HeldCode((), seen.size, tuple(problem.what for problem in error.problems), seen.architectures)
    held = tuple(
        HeldContainer(container, _sha256(content, container), naming.containers.get(container))
        for container in seen.containers
        if container in wanted and container not in obstacles
    )
    fixed = seen.size - sum(item.container.size for item in held)
    reasons = tuple(sorted({why for container, why in obstacles.items() if container in wanted}))
    return HeldCode(held, fixed, reasons, seen.architectures, naming.ids)


def _sha256(content: Content, container: Container) -> str:
    digest = hashlib.sha256()
    for piece in pieces(content, container.offset, container.offset + container.size):
        digest.update(piece)
    return digest.hexdigest()
