"""What a resolver may look at besides the path at hand."""

from __future__ import annotations

from dataclasses import dataclass

from wheelfuse.fuse.binding import Binding
from wheelfuse.fuse.model import Case, Facts
from wheelfuse.fuse.reconcile.variant import Variant


@dataclass(frozen=True)
class Context:
    """The facts about contents, the per-CPython shared objects, the paths whose content changed, strictness."""

    dist_info: str
    facts: Facts
    binding: Binding
    changed: frozenset[str] = frozenset()
    strict: bool = False

    def texts(self, case: Case) -> tuple[Variant, ...]:
        """The contents of the owners' files, for reconciling them; empty if one of them is not at hand."""
        found = tuple(
            Variant(original.serves, content)
            for original in case.owners
            if (content := self.facts.contents.get(original.files[case.path].digest)) is not None
        )
        return found if len(found) == len(case.owners) else ()
