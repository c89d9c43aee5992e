"""Where originals differ: most of a release is the same in every wheel, and nobody has to look at that twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from wheelfuse.fuse.model import File, Original


@dataclass(frozen=True)
class Differences:
    """Paths where originals have different contents, different modes alone, or some have no file at all."""

    contents: frozenset[str]
    modes: frozenset[str]
    partial: frozenset[str]

    @property
    def of_files(self) -> frozenset[str]:
        """Where files differ by more than their modes."""
        return self.contents | self.partial

    @property
    def of_any_kind(self) -> frozenset[str]:
        return self.contents | self.modes | self.partial


def differences(originals: Sequence[Original]) -> Differences:
    """Compare the files of all originals, each once."""
    first: dict[str, File] = {}
    contents, modes = set(), set()
    for original in originals:
        for path, file in original.files.items():
            known = first.setdefault(path, file)
            if known.digest != file.digest:
                contents.add(path)
            elif known.mode != file.mode:
                modes.add(path)
    owners = Counter(chain.from_iterable(original.files for original in originals))
    partial = (path for path, count in owners.items() if count < len(originals))
    return Differences(frozenset(contents), frozenset(modes), frozenset(partial))
