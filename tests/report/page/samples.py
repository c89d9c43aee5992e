"""Pages made by hand: what the report can hold, at its plainest, fullest and worst."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tests.report.audits import (
    EXPLANATION,
    FINDINGS,
    FULL,
    HOSTILE,
    NOWHERE,
    PRIVATE,
    PROVIDER,
    STALE,
    TARGETS,
    modules,
    row,
)
from wheelfuse.auditing.finding import Finding
from wheelfuse.auditing.report import Answer
from wheelfuse.auditing.road import Road, Step
from wheelfuse.escape import shell_word
from wheelfuse.fuse.model import Conflict, Fate, Group, Loss, Lost, Resolution
from wheelfuse.report.page.model import (
    Bar,
    Block,
    Decline,
    Explained,
    Fused,
    Input,
    Origin,
    Page,
    Saving,
    Settling,
    State,
    Stuff,
    Symbol,
    SymbolTable,
    Verdict,
)

MIB = 1 << 20
MARKUP = """<img src=x onerror=alert(1)>"'`--></script><script>document.title='owned'</script>&amp;{{7*7}}"""
"""What would run, or end something, if it were not escaped."""
NASTY = (
    MARKUP,
    HOSTILE,
    "</style>",
    "\u202egpj.exe",
    "a\u2066b",
    "\udcff.so",
    "]]>",
    "x" * 300,
    "\u6f22\u5b57.so",
)

RULES = {
    rule.code: Explained(rule.code, rule.name, rule.title, rule.severity.value, EXPLANATION)
    for rule in (STALE, PRIVATE, PROVIDER, NOWHERE)
}
LABEL = "vllm-0.31.0-cp310.cp311.cp312-cp310.cp311.cp312-manylinux_2_28_x86_64.whl"


def block(name: str, size: int, stuff: Stuff, note: str = "") -> Block:
    """A file, or a part of one, that is packed to two fifths."""
    return Block(name, size, size * 2 // 5, stuff, (), note)


def directory(name: str, *parts: Block) -> Block:
    """What holds these parts."""
    return Block(name, sum(part.size for part in parts), sum(part.packed for part in parts), None, parts)


def states(labels: Iterable[str], good: str) -> tuple[tuple[str, State], ...]:
    """Steps of a bar: a mark for each label, ``y``, ``n``, ``p`` or ``?``."""
    marks = {"y": State.GOOD, "n": State.BAD, "p": State.PARTLY, "?": State.UNKNOWN}
    return tuple((label, marks[mark]) for label, mark in zip(labels, good, strict=True))


BARS = (
    Bar("torch", states((f"2.{minor}" for minor in range(4, 14)), "nnnnnyyy?y"), "2.9 to 2.11, 2.13"),
    Bar(
        "C library", states(("2.17", "2.27", "2.28", "2.31", "2.34", "2.39"), "nnyyyy"), "glibc 2.28 at least"
    ),
    Bar(
        "GPUs",
        states(("70", "75", "80", "86", "89", "90", "100", "120"), "nnyyyypp"),
        "sm_80, sm_90, PTX compute_90",
    ),
)


def library(name: str, *, device: float = 0, code: float = 1.0, stuff: Stuff = Stuff.MODULE) -> Block:
    """A shared object with code, device code and debug sections; sizes in MiB."""
    parts = [block("code and data", int(code * MIB), stuff)]
    if device:
        parts.append(block(".nv_fatbin", int(device * MIB), Stuff.DEVICE_CODE, "sm_80, sm_90, compute_90"))
    parts.append(block("debug sections", int(code * MIB / 3), Stuff.DEBUG))
    return directory(name, *parts)


CONTENTS = directory(
    "wheel",
    directory(
        "vllm",
        *(
            library(f"_C.cpython-3{minor}-x86_64-linux-gnu.so", device=48 + minor, code=6)
            for minor in (10, 11, 12)
        ),
        *(
            library(f"_moe_C.cpython-3{minor}-x86_64-linux-gnu.so", device=20, code=2)
            for minor in (10, 11, 12)
        ),
        library("cumem.abi3.so", code=0.1),
        directory(
            "model_executor",
            directory(
                "models", *(block(f"model_{n:03}.py", 9000 + n * 400, Stuff.PYTHON) for n in range(80))
            ),
            directory(
                "layers", *(block(f"layer_{n:02}.py", 12000 + n * 900, Stuff.PYTHON) for n in range(30))
            ),
        ),
        directory("configs", *(block(f"E={n},N=4096.json", 3000 + n * 37, Stuff.DATA) for n in range(200))),
        block("__init__.py", 4120, Stuff.PYTHON),
    ),
    directory(
        "vllm.libs",
        library("libgomp-a34b3233.so.1.0.0", code=0.4, stuff=Stuff.LIBRARY),
        library("libshm-7c1e2f00.so", code=12, stuff=Stuff.LIBRARY),
    ),
    directory(
        "vllm-0.31.0.dist-info",
        block("RECORD", 61000, Stuff.DATA),
        block("METADATA", 21000, Stuff.DATA),
        directory("licenses", block("LICENSE", 11000, Stuff.DATA)),
    ),
)


def symbols(number: int, *, private: int = 6) -> tuple[Symbol, ...]:
    """Symbols of all groups and states."""
    found = [
        Symbol(f"_Py{n}_Private", "", "CPython, private", "", State.BAD, "gone in 3.13", f"PyLimited_{n}")
        for n in range(private)
    ]
    found += [
        Symbol("PyObject_GetAttrString", "", "CPython, limited API"),
        Symbol("memcpy", "", "glibc", "GLIBC_2.14"),
        Symbol("__cxa_thread_atexit_impl", "", "glibc", "GLIBC_2.18", State.PARTLY, "glibc 2.18 at least"),
        Symbol(
            "_ZN2at6Tensor6symbolEv",
            "at::Tensor::symbol()",
            "libtorch",
            "",
            State.UNKNOWN,
            "in no torch known",
        ),
        Symbol("PyInit__C", "", "exported"),
    ]
    found += [
        Symbol(
            f"_ZN4vllm6kernel5op{n:05}EPKfS1_i",
            f"vllm::kernel::op{n:05}(float const*, float const*, int)",
            "C++",
        )
        for n in range(number - len(found))
    ]
    return tuple(found)


FACTS = (
    ("soname", "_C.so"),
    ("NEEDED", "libtorch.so, libc10.so, libcudart.so.13, libc.so.6"),
    ("build ID", "6f1c9a0e4d"),
    ("made by", "GCC 13.3.0, nvcc 13.0"),
)


def table(path: str, number: int, *, private: int = 6) -> SymbolTable:
    return SymbolTable(path, FACTS, symbols(number, private=private))


def subject(
    label: str = LABEL,
    *,
    answer: Answer = Answer(),  # noqa: B008
    contents: Block = CONTENTS,
    tables: tuple[SymbolTable, ...] = (),
    bars: tuple[Bar, ...] = (),
    failed: bool = False,
    not_run: tuple[str, ...] = (),
) -> Input:
    what = "wheel of 187.0 MiB with 9 shared objects"
    return Input(label, what, contents.packed, contents.size, answer, bars, contents, tables, failed, not_run)


def page(
    verdict: Verdict, inputs: tuple[Input, ...], findings: Sequence[tuple[str, Finding]] = (), **more: object
) -> Page:
    rules = {code: RULES[code] for code in sorted({finding.code for _, finding in findings} & RULES.keys())}
    made = Page("wheelfuse audit", "1.0", verdict, inputs, tuple(findings), rules, ())
    return replace(made, **more)  # type: ignore[arg-type]


def clean() -> Page:
    """A wheel with nothing to tell."""
    name = "numpy-2.5.3-cp310-cp314-manylinux_2_28_x86_64.whl"
    contents = directory(
        "wheel",
        directory("numpy", directory("_core", library("_multiarray_umath.so", code=9), library("_simd.so", code=3)),
                  *(block(f"mod{n}.py", 20000 - n * 300, Stuff.PYTHON) for n in range(40))),
        directory("numpy.libs", library("libopenblas64_p-r0-5dba7cc2.so", code=24, stuff=Stuff.LIBRARY)),
        directory("numpy-2.5.3.dist-info", block("RECORD", 90000, Stuff.DATA)),
    )  # fmt: skip
    answer = Answer(TARGETS, modules(17), libc=("glibc 2.28",), platforms=("manylinux_2_28_x86_64",))
    item = subject(
        name,
        answer=answer,
        contents=contents,
        bars=BARS[1:2],
        tables=(table("numpy/_core/_simd.so", 40, private=0),),
    )
    return replace(
        page(Verdict(State.GOOD, "Loads on CPython 3.10 to 3.14, 3.13t and 3.14t"), (item,)),
        title=f"wheelfuse audit · {name}",
    )


def failing() -> Page:
    """A wheel with everything: errors, warnings, notes, checks not made, roads, a decline."""
    answer = FULL.subjects[0].answer
    item = subject(
        answer=answer,
        bars=BARS,
        failed=True,
        not_run=("WF601 vllm/_C.so: no symbol table of cp315t is known",),
        tables=(table("vllm/_C.cpython-312-x86_64-linux-gnu.so", 900), table("vllm/cumem.abi3.so", 60)),
    )
    more = tuple(
        PRIVATE.finding(f"_PyPrivate_{n} is private", f"vllm/layers/_k{n}.cpython-312.so", todo="Use another")
        for n in range(30)
    )  # fmt: skip
    findings = [(LABEL, finding) for finding in (*FINDINGS[:-1], *more, FINDINGS[-1])]
    return page(
        Verdict(
            State.BAD,
            "Loads on CPython 3.10 and 3.11; fails on 3.12 for vllm._C; 9 errors",
            "Link the library that defines at::Tensor::symbol(), then run the audit again.",
        ),
        (item,),
        findings,
        title=f"wheelfuse audit · {LABEL}",
        roads=ROADS,
        decline=Decline((("v0.27", 412), ("v0.28", 380), ("v0.29", 211), ("v0.30", 96), ("now", 64))),
    )


TENSOR = (("at::Tensor::data_ptr() const", "torch::stable::Tensor::data_ptr"), ("at::Tensor::foo()", ""))
ROADS = (
    *FULL.roads,
    *(
        Road(
            LABEL,
            f"vllm.layers._k{n}",
            "libtorch stable ABI",
            (f"vllm/layers/_k{n}.cpython-312-x86_64-linux-gnu.so",),
            (
                Step("at::Tensor", TENSOR),
                Step("c10::cuda", tuple((f"c10::cuda::f{m}(int)", "") for m in range(20))),
            ),
            ("Then torch 2.10 would be the oldest that loads it",),
        )
        for n in range(5)
    ),
)  # fmt: skip

INPUTS = tuple(
    (
        f"cp3{minor}",
        f"vllm-0.31.0-cp3{minor}-cp3{minor}-manylinux_2_28_x86_64.whl",
        90 * MIB + minor * 100_000,
    )
    for minor in (10, 11, 12)
)


def fused() -> Page:
    """A merge of three wheels into one with many members."""
    owners = tuple(label for label, _, _ in INPUTS)
    members = [
        Origin(f"vllm/model_executor/models/model_{n:03}.py", 9000 + n * 400, owners, "", "the same in all")
        for n in range(700)
    ]
    members += [
        Origin(
            f"vllm/_C.cpython-3{m}-x86_64-linux-gnu.so",
            57 * MIB,
            (f"cp3{m}",),
            "",
            "kept under a name of its own",
        )
        for m in (10, 11, 12)
    ]
    members.append(Origin("vllm/version.py", 800, owners, "vllm/_version.py", "made by wheelfuse"))
    resolutions = [
        *(
            Resolution("renamed", f"vllm/_k{n}.so", owners, "each CPython has a file of its own")
            for n in range(12)
        ),
        Resolution(
            "dispatched",
            "vllm/version.py",
            owners,
            "a module that imports the variant of the running CPython",
        ),
        Resolution("metadata", "vllm-0.31.0.dist-info/METADATA", owners, "Requires-Python: >=3.10,<3.13"),
    ]
    lost = Lost(
        "cp310",
        Loss("vllm/build.log", "sha256=x", 100, 0o644, "the newest stands for all", "newest", Fate.REPLACED),
    )
    answer = replace(FULL.subjects[0].answer, modules=modules(6), unreleased=())
    merge = Fused(
        INPUTS,
        LABEL,
        CONTENTS.packed,
        tuple(members),
        tuple(resolutions),
        (),
        (lost,),
        (
            Saving("device code", 96 * MIB, "stored once in vllm.libs/libvllm_device_code.so"),
            Saving("equal members", 31 * MIB, "712 members that are the same in all inputs are stored once"),
            Saving("debug sections", 14 * MIB, "--strip-debug cuts them out", possible=True),
        ),
        before=directory("the inputs together", *(replace(CONTENTS, name=label) for label, _, _ in INPUTS)),
    )
    item = subject(answer=answer, bars=BARS, tables=(table("vllm/_C.cpython-312-x86_64-linux-gnu.so", 300),))
    return page(
        Verdict(State.GOOD, "Fused 3 wheels into one: 137.1 MiB instead of 273.2 MiB", "Try it: wheelfuse verify."),
        (item,),
        [(LABEL, PROVIDER.finding("libcudart.so.13 comes from nvidia-cuda-runtime", todo="Nothing"))],
        title="wheelfuse merge",
        fused=merge,
    )  # fmt: skip


def conflicts() -> tuple[Conflict, ...]:
    """Conflicts of one path, of several alike, and with lines that differ."""
    groups = (Group(("cp310", "cp311")), Group(("cp312",)))
    return (
        Conflict("vllm/build info.txt", "text that differs", groups, ("newest", "oldest", "drop"), ("- Mon", "+ Tue")),
        *(
            Conflict(f"vllm/data/table_{n}.bin", "binary data that differs", groups, ("newest", "keep"))
            for n in range(5)
        ),
        Conflict("vllm/only.json", "only some have it", tuple(reversed(groups)), ("keep", "drop")),
    )  # fmt: skip


def settling() -> tuple[Settling, ...]:
    """The same by what settles them: a file of its own, files of which each needs a line, a directory."""
    one, *alike, only = conflicts()
    newest = ("newest", "cp312's for all")
    keep = ("keep", "all CPythons get them")
    groups = tuple((group.labels, group.present) for group in one.groups)
    return (
        Settling(
            (one.path,),
            (one.path,),
            one.reason,
            groups,
            one.details,
            ("--resolve 'vllm/build info.txt=newest'", "--resolve 'vllm/build info.txt=drop'"),
            (newest, ("drop", "none gets it")),
        ),
        Settling(
            tuple(conflict.path for conflict in alike),
            tuple(conflict.path for conflict in alike),
            alike[0].reason,
            groups,
            (),
            tuple(f"--resolve '{conflict.path}=newest'" for conflict in alike),
            (newest, keep),
        ),
        Settling(
            (only.path,),
            (only.path,),
            only.reason,
            groups[::-1],
            (),
            ("--resolve 'vllm/only.json=keep'",),
            (keep,),
        ),
    )


def refused() -> Page:
    """A merge that was refused."""
    merge = Fused(
        INPUTS, LABEL, 0, (), (), conflicts(), (), (), ("vllm.cumem has no file for cp312",), settling()
    )  # fmt: skip
    inputs = tuple(
        subject(name, answer=Answer(TARGETS[:3], modules(2)), bars=BARS[1:]) for _, name, _ in INPUTS
    )
    return page(
        Verdict(State.BAD, "Not fused: 7 files differ without a rule", "Add a --resolve line for each."),
        inputs,
        title="wheelfuse merge",
        fused=merge,
    )  # fmt: skip


def many_symbols() -> Page:
    """A module with 50,000 symbols."""
    item = subject(
        answer=Answer(TARGETS, modules(1)), tables=(table("big/_C.so", 50_000), table("big/_small.so", 20))
    )
    return page(
        Verdict(State.PARTLY, "Loads on CPython 3.10 to 3.14"), (item,), title="wheelfuse audit · big"
    )


def nasty() -> Page:
    """Every text is made to break out of where it stands."""
    text = " ".join(NASTY)
    answer = Answer(
        TARGETS,
        tuple(row(name, "yyNs-??", name) for name in NASTY),
        libc=NASTY,
        platforms=NASTY,
        architectures=NASTY,
        assumed=NASTY,
        torch=(),
    )
    kinds = (*Stuff, *Stuff)[: len(NASTY)]
    contents = directory(MARKUP, *(Block(name, 1000, 900, stuff, (block(name, 500, Stuff.DATA, name),), text)
                                   for name, stuff in zip(NASTY, kinds, strict=True)))  # fmt: skip
    names = tuple(
        Symbol(f"{name}{n}", name, name, name, State.BAD, name, name) for n, name in enumerate(NASTY)
    )
    item = replace(
        subject(
            MARKUP,
            answer=answer,
            contents=contents,
            tables=tuple(SymbolTable(name, ((name, name),), names) for name in NASTY),
            bars=(Bar(MARKUP, ((MARKUP, State.GOOD), (HOSTILE, State.UNKNOWN)), MARKUP),),
            failed=True,
            not_run=NASTY,
        ),
        what=text,
    )
    findings = [
        (label, STALE.finding(f"message {name}", name, todo=text, details=NASTY))
        for label in (MARKUP, HOSTILE)
        for name in NASTY
    ]
    return page(
        Verdict(State.BAD, text, text),
        (item, replace(item, label=HOSTILE)),
        findings,
        title=text,
        rules={STALE.code: Explained(STALE.code, STALE.name, MARKUP, "error", f"{text}\n\n    {text}\n\n- {text}")},
        roads=(Road(MARKUP, MARKUP, MARKUP, NASTY, (Step(MARKUP, tuple((name, name) for name in NASTY)),), NASTY),),
        decline=Decline(((MARKUP, 3), (HOSTILE, 1))),
        fused=Fused(
            tuple((name, name, 5) for name in NASTY),
            MARKUP,
            0,
            tuple(Origin(name, 5, NASTY, name + "x", name) for name in NASTY),
            tuple(Resolution(rule, name, NASTY, name) for name in NASTY for rule in ("renamed", MARKUP)),
            tuple(Conflict(name, name, (Group(NASTY),), ("newest", name), NASTY) for name in NASTY),
            tuple(Lost(name, Loss(name, "", 0, 0, name, name, Fate.DROPPED)) for name in NASTY),
            tuple(Saving(name, 5, name, True) for name in NASTY),
            NASTY,
            tuple(
                Settling((name,), (name,), name, ((NASTY, True),), NASTY, (shell_word(name),), ((name, name),))
                for name in NASTY
            ),
            contents,
        ),
    )  # fmt: skip


def several() -> Page:
    """Many inputs at once, of which one fails."""
    three = TARGETS[:3]
    inputs = tuple(
        subject(
            name, answer=Answer(three, (row("pkg._a", marks, "no x", three), row("pkg._b", "yyy", "", three))),
            failed="N" in marks,
        )
        for (_, name, _), marks in zip(INPUTS, ("yyy", "yyy", "yyN"), strict=True)
    )  # fmt: skip
    return page(
        Verdict(State.BAD, "2 of 3 wheels load; 1 error"),
        inputs,
        [(INPUTS[2][1], NOWHERE.finding("nobody defines x", "pkg/_a.so"))],
    )


def empty() -> Page:
    """Nothing at all: an input without bytes or modules."""
    return page(
        Verdict(State.UNKNOWN, "There is nothing to say"),
        (subject("empty.whl", contents=Block("wheel", 0, 0)),),
    )


SAMPLES: dict[str, Callable[[], Page]] = {
    "clean": clean,
    "failing": failing,
    "fused": fused,
    "refused": refused,
    "many_symbols": many_symbols,
    "nasty": nasty,
    "several": several,
    "empty": empty,
}
