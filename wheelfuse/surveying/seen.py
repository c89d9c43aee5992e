"""Which wheels a survey knows: the one thing that grows with their number, so it is kept small."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from wheelfuse.surveying.parts import Known
from wheelfuse.surveying.tables import storable

_HEAD = struct.Struct("!I?")
_IN_THIS_RUN = b""


@dataclass(frozen=True)
class Before:
    """What an earlier run found out about a wheel: its identity, whether it was read, and the part with its rows."""

    part: int
    identity: str
    read: bool


class Seen:
    """What is known of each URL: by an earlier run, and that it came in this one.

    The URLs are kept as digests of 96 bits, for which 10⁹ of them have one chance in 10¹¹ to meet.
    """

    def __init__(self, known: Iterable[Known] = ()) -> None:
        self._kept = {
            _key(wheel.url): _HEAD.pack(wheel.part, wheel.read) + wheel.identity.encode() for wheel in known
        }

    def first(self, url: str) -> bool:
        """Whether this run has not come across it."""
        return self._kept.get(_key(url)) != _IN_THIS_RUN

    def take(self, url: str) -> Before | None:
        """What an earlier run knows of it. From now on it is one of this run."""
        key = _key(url)
        kept, self._kept[key] = self._kept.get(key), _IN_THIS_RUN
        if not kept:
            return None
        part, read = _HEAD.unpack_from(kept)
        return Before(part, kept[_HEAD.size :].decode(), read)


def _key(url: str) -> bytes:
    return blake2b(storable(url).encode(), digest_size=12).digest()
