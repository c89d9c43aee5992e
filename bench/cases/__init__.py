"""The cases: what is measured, beside what, and what it should be.

A case is a function of `Bench` in one of the modules here, entered in `CASES`; its docstring says what it measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import getdoc

from bench.cases import audits, growth, merges, start
from bench.cases.bench import Bench
from bench.result import Result


@dataclass(frozen=True)
class Case:
    """A case by its name. *rounds* are made when nothing else is asked for."""

    name: str
    title: str
    rounds: int
    run: Callable[[Bench], Result]

    @property
    def about(self) -> str:
        """What is measured, in one paragraph."""
        return " ".join((getdoc(self.run) or "").split())


CASES = {
    case.name: case
    for case in (
        Case("merge_onnxruntime", "merge, onnxruntime-gpu × 3", 3, merges.onnxruntime),
        Case("merge_cupy", "merge, cupy-cuda12x × 2", 5, merges.cupy),
        Case("merge_markupsafe", "merge, markupsafe × 6", 20, start.markupsafe),
        Case("version", "wheelfuse --version", 20, start.version),
        Case("memory", "merge, memory", 2, merges.memory),
        Case("share_cupy", "merge --share-device-code, cupy-cuda12x × 2", 5, merges.share_cupy),
        Case("audit_cupy", "audit, cupy-cuda12x", 5, audits.cupy),
        Case("audit_triton", "audit, triton", 2, audits.triton),
        Case("jobs", "audit --jobs, 40 wheels", 3, audits.jobs),
        Case("growth_members", "merge, more members", 3, growth.members),
        Case("growth_bytes", "merge, more bytes", 3, growth.size),
        Case("growth_inputs", "merge, more inputs", 5, growth.inputs),
    )
}
