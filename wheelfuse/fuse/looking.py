"""What is to be known of a content besides its digest: the facts of an ELF file, its GPU code, what is left of it
without what only debuggers read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from wheelfuse.content import Content, spooled
from wheelfuse.elf.fatbin import SECTIONS, read_device_code
from wheelfuse.elf.image import Image, read_image
from wheelfuse.errors import InvalidInput
from wheelfuse.fuse.model import SeenCode
from wheelfuse.fuse.originals import Verified
from wheelfuse.wheel.record import encode_digest

_ROCM = ".hip_fatbin"


@dataclass(frozen=True)
class Look:
    """What to look for in ELF files, beside what every command must know of them.

    *device_code*: which GPU code there is; *keep* what holds some, since it will be read again. *debug*: what they are
    without that which only debuggers read; *build_id*: but only where a build ID leads a debugger to what was cut out.
    *deep*: what images tell of the bytes that are loaded.
    """

    device_code: bool = False
    keep: bool = False
    debug: bool = False
    build_id: bool = False
    deep: bool = False


def looked_at(digest: str, size: int, content: Content | None, look: Look) -> Verified:
    """The facts of an ELF file; of another one (None) there are none.

    Raises:
        InvalidInput: it is damaged.
    """
    if content is None:
        return Verified(digest, size)
    image = read_image(content, deep=look.deep)
    found = Verified(digest, size, image, _seen_code(content, image) if look.device_code else None)
    if not look.debug or not image.size_of_debug:
        return found
    from wheelfuse.elf.strip import strip_debug  # takes long to load, and few merges strip

    try:
        stripped = strip_debug(content)
    except InvalidInput as error:
        return replace(found, unstripped="; ".join(problem.what for problem in error.problems))
    if stripped is None:
        return found
    if look.build_id and not stripped.build_id:
        why = "no build ID would lead a debugger to what was cut out (link with -Wl,--build-id)"
        return replace(found, unstripped=why)
    rest = hashed(stripped.content.chunks(content), stripped.content.size, replace(look, debug=False))
    return replace(found, rest=rest)


def hashed(chunks: Iterable[bytes], size: int, look: Look) -> Verified:
    """What there is to know of an ELF file that comes in pieces, about *size* bytes in all.

    Raises:
        InvalidInput: it is damaged.
    """
    digest = hashlib.sha256()

    def fed() -> Iterator[bytes]:
        for chunk in chunks:
            digest.update(chunk)
            yield chunk

    with spooled(fed(), size) as content:
        return looked_at(encode_digest(digest.digest()), len(content), content, look)


def _seen_code(content: Content, image: Image) -> SeenCode | None:
    if rocm := sum(section.size for section in image.sections if section.name == _ROCM):
        return SeenCode((), rocm, why_fixed=(f"ROCm's code ({_ROCM}) is not shared",))
    try:
        code = read_device_code(content, image)
    except InvalidInput as error:
        size = sum(section.size for section in image.sections if section.name in SECTIONS)
        damage = "; ".join(problem.what for problem in error.problems)
        return SeenCode((), size, why_fixed=(damage,), damage=damage)
    if not code:
        return None
    size = sum(container.size for container in code.containers)
    return SeenCode(code.containers, size, code.architectures)
