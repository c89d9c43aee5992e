"""The road to one file: what stands between a module's per-Python files and abi3, and the libtorch stable ABI."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """Symbols with one cause that have to go, each as (symbol as shown, its replacement or empty).

    ``cause`` is what brings them in: ``pybind11``, ``Cython``, a C++ class such as ``at::Tensor``.
    """

    cause: str
    symbols: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Road:
    """The road of one module: ``goal`` is ``abi3`` or ``libtorch stable ABI``; no steps: it is there already.

    ``left`` counts the symbols that have no known replacement. ``advice`` are sentences on the way to take.
    """

    subject: str
    module: str
    goal: str
    files: tuple[str, ...]
    steps: tuple[Step, ...]
    advice: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        return sum(not replacement for step in self.steps for _, replacement in step.symbols)

    @property
    def count(self) -> int:
        return sum(len(step.symbols) for step in self.steps)
