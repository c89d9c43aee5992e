"""What stands in a stable ABI for what does not: CPython's limited API, and the stable ABI of libtorch.

Both tables under ``data/`` are kept by hand (``SOURCES.toml`` says from what) and read on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from wheelfuse.abi.cpython import DATA
from wheelfuse.abi.demangle import qualified_name
from wheelfuse.abi.limited_api import lowest_limited_api


@dataclass(frozen=True)
class LimitedReplacement:
    """How code for the limited API does what a symbol outside it does.

    ``functions`` are those of the limited API to call, none where none is needed; ``remark`` says the rest.
    """

    functions: tuple[str, ...]
    remark: str = ""

    @property
    def limited_api(self) -> int:
        """The minor version whose limited API is the first with all the functions; the limited API begins with 3.2."""
        return lowest_limited_api(self.functions) or 0

    def __str__(self) -> str:
        names = " + ".join(self.functions)
        since = f" (limited API 3.{self.limited_api})" if self.limited_api > 2 else ""
        return ": ".join(filter(None, (f"{names}{since}", self.remark)))


@dataclass(frozen=True)
class TorchCounterpart:
    """What the stable ABI of libtorch, or something outside libtorch, has in place of a C++ symbol.

    ``since`` is the first torch with it, as (major, minor); None where it is no part of libtorch.
    """

    name: str
    since: tuple[int, int] | None

    def __str__(self) -> str:
        return f"{self.name} (torch {self.since[0]}.{self.since[1]})" if self.since else self.name


@cache
def limited_replacements() -> dict[str, LimitedReplacement]:
    """The symbols of CPython that have a replacement in the limited API."""
    found = {}
    for name, functions, remark in _rows("limited_replacements.txt"):
        called = () if functions == "-" else tuple(functions.split("+"))
        found[name] = LimitedReplacement(called, remark)
    return found


@cache
def torch_counterparts() -> dict[str, TorchCounterpart]:
    """Qualified names of libtorch, of functions, classes and namespaces, with what stands for all in them."""
    found = {}
    for name, since, counterpart in _rows("torch_stable.txt"):
        major, _, minor = since.partition(".")
        found[name] = TorchCounterpart(counterpart, None if since == "-" else (int(major), int(minor)))
    return found


def limited_replacement(symbol: str) -> LimitedReplacement | None:
    """How to do without *symbol* in the limited API, if that is known."""
    return limited_replacements().get(symbol)


def torch_counterpart(symbol: str) -> TorchCounterpart | None:
    """What stands for a mangled C++ symbol of libtorch: by its own name, else by its class, else by its namespace."""
    name = qualified_name(symbol)
    parts = [*name.scopes, *filter(None, (name.own,))]
    prefixes = ("::".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((found for prefix in prefixes if (found := torch_counterparts().get(prefix))), None)


def _rows(file: str) -> Iterator[tuple[str, str, str]]:
    """The lines of a table: two words, and the rest, which may be empty."""
    for line in (DATA / file).read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            first, second, rest = f"{line} ".split(" ", 2)
            yield first, second, rest.strip()
