"""Reports of audits, made by hand: all that a report can hold, and what hostile inputs could put into one."""

from __future__ import annotations

from collections.abc import Iterable

from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.options import Ignore
from wheelfuse.auditing.report import (
    Answer,
    Cell,
    ModuleRow,
    Outcome,
    Report,
    SubjectReport,
    Suppressed,
)
from wheelfuse.auditing.road import Road, Step
from wheelfuse.auditing.rules import Entry
from wheelfuse.auditing.subject import Kind
from wheelfuse.target import Target

STALE = Rule("WF203", "stale-module", Severity.ERROR, "Extension module whose suffix no tag claims")
PRIVATE = Rule("WF304", "private-symbols", Severity.WARNING, "Private symbols of CPython are used")
PROVIDER = Rule("WF503", "assumed-library", Severity.INFO, "A library must come from another distribution")
NOWHERE = Rule("WF601", "unresolved-symbol", Severity.ERROR, "A symbol that nobody defines")
EXPLANATION = """What it finds: a thing.

A second paragraph with a list:

- one ``literal``
- two

See https://docs.python.org/3/c-api/stable.html for more."""
RULES = tuple(
    Entry(rule, EXPLANATION, lambda _: iter(()), None) for rule in (STALE, PRIVATE, PROVIDER, NOWHERE)
)

TARGETS = tuple(map(Target.parse, ("cp310", "cp311", "cp312", "cp313", "cp313t", "cp314", "cp314t")))
MARKS = {
    "y": Outcome.LOADS,
    "s": Outcome.SUPPLIED,
    "N": Outcome.FAILS,
    "-": Outcome.MISSING,
    "?": Outcome.UNPROVED,
}

HOSTILE = "pkg/\x1b[31m\x07|`<b>&]]>%,:\r\n::error::\u202e x\u00e9.so"


def row(module: str, outcomes: str, reason: str = "", targets: tuple[Target, ...] = TARGETS) -> ModuleRow:
    """A row of the matrix from marks, one for each target: ``yyN-?``."""
    return ModuleRow(
        module,
        tuple(
            Cell(
                target,
                MARKS[mark],
                f"{module.replace('.', '/')}.so",
                (reason,) if reason and mark != "y" else (),
            )
            for target, mark in zip(targets, outcomes, strict=True)
        ),
    )


def subject(
    label: str = "pkg-1.0-cp310-cp310-manylinux_2_17_x86_64.whl",
    findings: Iterable[Finding] = (),
    *,
    answer: Answer | None = None,
    suppressed: Iterable[Suppressed] = (),
    not_run: Iterable[NotRun] = (),
    kind: Kind = Kind.WHEEL,
) -> SubjectReport:
    return SubjectReport(
        label, kind, 17_000_000, 19, answer or Answer(), tuple(findings), tuple(suppressed), tuple(not_run)
    )


def modules(number: int) -> tuple[ModuleRow, ...]:
    return tuple(row(f"numpy.core._m{n:02}", "yyyyyyy") for n in range(number))


CLEAN = Report(
    (
        subject(
            answer=Answer(TARGETS, modules(17), libc=("glibc 2.17",), platforms=("manylinux_2_17_x86_64",))
        ),
    ),
    rules=45,
)
"""Nothing found, seventeen equal modules."""

FINDINGS = (
    NOWHERE.finding(
        "no library that it reaches defines 8 symbols that it needs, so that importing it fails on every CPython",
        "vllm/_C.cpython-312-x86_64-linux-gnu.so",
        todo="Link the library that defines them, or add it to DT_NEEDED",
        details=tuple(f"_ZN2at6Tensor{n}symbolEv" for n in range(8)),
    ),
    *(
        STALE.finding(
            "no tag claims cp39",
            f"vllm/_m{n}.cpython-39-x86_64-linux-gnu.so",
            todo="Delete it before the wheel is packed",
        )
        for n in range(7)
    ),
    STALE.finding(
        "no tag claims cp38",
        "vllm/_old.cpython-38-x86_64-linux-gnu.so",
        todo="Delete it before the wheel is packed",
    ),
    PRIVATE.finding(
        "_PyType_Lookup and 3 others are private",
        "vllm/_C.cpython-312-x86_64-linux-gnu.so",
        todo="Use nanobind",
    ),
    PROVIDER.finding("libcudart.so.13 comes from nvidia-cuda-runtime", todo="Nothing"),
)

FULL = Report(
    (
        subject(
            "vllm-0.31.0-cp310.cp311.cp312-cp310.cp311.cp312-manylinux_2_28_x86_64.whl",
            FINDINGS,
            answer=Answer(
                TARGETS,
                (
                    row("vllm._C", "yyNyyyy", "nobody defines _ZN2at6Tensor0symbolEv and 7 others"),
                    *modules(6),
                    row("vllm._moe_C", "y-?????", "libtorch.so comes from torch"),
                    row("vllm.cumem", "y-?????", "libtorch.so comes from torch"),
                ),
                unreleased=(Target(16), Target(17)),
                torch=("2.9", "2.10", "2.11", "2.13"),
                libc=("glibc 2.28", "GLIBCXX 3.4.22"),
                platforms=("manylinux_2_28_x86_64", "manylinux_2_31_x86_64"),
                architectures=("sm_80", "sm_90", "compute_90"),
                assumed=tuple(
                    f"lib{name}.so (torch)"
                    for name in ("torch", "torch_cpu", "torch_cuda", "c10", "c10_cuda", "shm", "x", "y")
                ),
            ),
            suppressed=(Suppressed(FINDINGS[-2], Ignore("WF304", "vllm/**", "until the move to nanobind")),),
            not_run=(NOWHERE.not_run("no symbol table of cp315t is known", "vllm/_C.so"),),
        ),
        subject(
            "numpy-2.5.3-cp314-cp314t-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
            (PROVIDER.finding("note"),),
            answer=Answer(
                (Target(14, True),), modules(0), libc=("glibc 2.27",), platforms=("manylinux_2_27_x86_64",)
            ),
        ),
        subject("dist/tree", kind=Kind.DIRECTORY, answer=Answer(TARGETS, modules(17))),
    ),
    unused_ignores=(Ignore("WF7", "x/*", "old"),),
    roads=(
        Road(
            "vllm-0.31.0.whl",
            "vllm._C",
            "abi3",
            ("vllm/_C.cpython-310.so", "vllm/_C.cpython-312.so"),
            (
                Step(
                    "pybind11", (("_PyObject_GetDictPtr", "PyObject_GenericGetDict"), ("_PyType_Lookup", ""))
                ),
                Step(
                    "at::Tensor",
                    (
                        (
                            "at::Tensor::a_very_long_method_name(long, std::vector<int> const&) const",
                            "torch::stable::Tensor",
                        ),
                    ),
                ),
            ),
            ("pybind11 has no limited API; nanobind has",),
        ),
        Road("vllm-0.31.0.whl", "vllm.cumem", "abi3", ("vllm/cumem.abi3.so",), ()),
    ),
    rules=45,
)
"""Everything that a report can hold."""

NASTY = Report(
    (
        subject(
            f"{HOSTILE}.whl",
            (
                STALE.finding(
                    f"message {HOSTILE}",
                    HOSTILE,
                    todo=f"todo {HOSTILE}",
                    details=(HOSTILE, "caf\u00e9 \u6f22\u5b57"),
                ),
                PRIVATE.finding("surrogate", "pkg/\udcff.so"),
            ),
            answer=Answer(
                TARGETS,
                (row(HOSTILE, "yyyyyN?", HOSTILE), row("\u6f22\u5b57", "yyyyyyy")),
                assumed=(HOSTILE,),
                torch=(),
            ),
            suppressed=(Suppressed(STALE.finding(HOSTILE, HOSTILE), Ignore("WF203", HOSTILE, HOSTILE)),),
            not_run=(STALE.not_run(HOSTILE, HOSTILE),),
        ),
    ),
    roads=(Road(HOSTILE, HOSTILE, "abi3", (HOSTILE,), (Step(HOSTILE, ((HOSTILE, HOSTILE),)),), (HOSTILE,)),),
    rules=4,
)
"""Names made to break each format."""
