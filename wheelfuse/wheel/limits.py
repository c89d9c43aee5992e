"""What a wheel may take of time, memory and disk before it counts as an attack rather than a package."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wheelfuse.errors import UsageError

RATIO_COUNTS_FROM = 256 << 20
"""Bytes that any machine can take: what inflates to less is no zip bomb, however well it is packed."""
NAMES = 1 << 10
"""Bytes of the directory for each member that is allowed, names included; real wheels have 200 at most on average."""

MEMBER_SIZE, RATIO, MEMBERS = KEYS = ("max-member-size", "max-ratio", "max-members")
"""What the limits are called in pyproject.toml, and with two dashes before it on the command line."""

_UNITS: dict[str, int] = {
    prefix + end: base**power
    for base, end in ((1000, "B"), (1024, "iB"))
    for power, prefix in enumerate(("", "K", "M", "G", "T"))
    if prefix or base == 1000
}
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))? *([A-Za-z]*)")


@dataclass(frozen=True)
class Limits:
    """How much one wheel may hold. All of it is told by the zip file's directory, before anything is inflated.

    *member_size*: bytes of one file. *ratio*: how many times its size a wheel may inflate to, and a file in it; it
    counts from 256 MiB on. *members*: files and directories in it. The largest wheels of the public index have files
    of some GB, inflate to at most fifty times their size, and have some ten thousands of members.
    """

    member_size: int = 16 << 30
    ratio: int = 200
    members: int = 100_000

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> Limits:
        """Read ``max-member-size``, ``max-ratio`` and ``max-members``; other keys are none of its business.

        Raises:
            UsageError: a value is no number above zero, or for the first of them a size such as ``20GB``.
        """
        default = cls()
        size = table.get(MEMBER_SIZE, default.member_size)
        try:
            member_size = parse_size(size) if isinstance(size, str) else size
        except ValueError as error:
            raise UsageError(f"{where} {MEMBER_SIZE}: {error}") from error
        found = (member_size, table.get(RATIO, default.ratio), table.get(MEMBERS, default.members))
        for key, value in zip(KEYS, found, strict=True):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"{where} {key} must be a number above zero, not {value!r}")
        return cls(*found)

    def too_large(self, size: int, compressed: int) -> tuple[str, str] | None:
        """Why a file of so many bytes is refused, and what to do about it; None if it is not."""
        if size > self.member_size:
            what = f"{size} bytes, more than the {shown(self.member_size)} that one file may have"
            return what, _raised(MEMBER_SIZE, shown(size))
        return self._bomb(size, compressed)

    def too_many(self, count: int) -> tuple[str, str] | None:
        """The same for the number of members."""
        if count <= self.members:
            return None
        what = f"{count} members, more than the {self.members} that a wheel may have"
        return what, _raised(MEMBERS, str(count))

    def too_dense(self, sizes: Iterable[int], size: int) -> tuple[str, str] | None:
        """The same for a whole wheel of *size* bytes and what is in it."""
        return self._bomb(sum(sizes), size)

    def _bomb(self, inflated: int, packed: int) -> tuple[str, str] | None:
        if inflated <= RATIO_COUNTS_FROM or inflated <= self.ratio * packed:
            return None
        ratio = -(-inflated // max(packed, 1))
        what = f"inflates to {inflated} bytes, {ratio} times its size: a zip bomb, for all that can be seen"
        return f"{what} (at most {self.ratio} times)", _raised(RATIO, str(ratio))


DEFAULT_LIMITS = Limits()


def parse_size(text: str) -> int:
    """Bytes, from ``20GB``, ``1.5 GiB``, ``4096`` and the like.

    Raises:
        ValueError: it is no size.
    """
    units = {"": 1, **{unit.lower(): factor for unit, factor in _UNITS.items()}}
    match = _SIZE.fullmatch(text.strip())
    if not match or match[3].lower() not in units:
        raise ValueError(f"{text!r} is no size, such as 20GB or 16GiB")
    factor, fraction = units[match[3].lower()], match[2] or ""
    return int(f"{match[1]}{fraction}") * factor // int(f"1{'0' * len(fraction)}")


def shown(size: int) -> str:
    """A size as `parse_size` reads it, never less than it is."""
    factors = ((unit, factor) for unit, factor in reversed(_UNITS.items()) if unit.endswith("iB"))
    unit, factor = next(((unit, factor) for unit, factor in factors if size >= factor), ("", 1))
    return f"{-(-size // factor)}{unit}"


def _raised(key: str, value: str) -> str:
    return f"If that is what the project means to publish: --{key} {value}. If not, do not install it."
