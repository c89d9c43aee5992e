"""What a small job takes: mostly starting."""

from __future__ import annotations

from statistics import median

from bench import inputs, programs
from bench.cases.bench import Bench
from bench.figures import import_seconds, ratio, seconds
from bench.measure import Run
from bench.result import Figure, Result

MARKUPSAFE = ("--expect", "cp39,cp310,cp311,cp312,cp313,cp314")
IMPORTTIME = ("-X", "importtime")


def markupsafe(bench: Bench) -> Result:
    """Merge of six wheels of 20 kB as a whole process, beside the start of Python alone. The seconds of imports are
    those of all modules that `python -X importtime` tells of in the same merge; that slows imports a little, so it
    runs by itself."""
    wheels = inputs.markupsafe()
    runs = bench.alternate(
        programs.merge("merge", wheels, bench.directory, *MARKUPSAFE),
        programs.merge(TOLD, wheels, bench.directory, *MARKUPSAFE, before=IMPORTTIME),
        programs.python("python -c pass", "-c", "pass"),
    )
    figures = (
        Figure("merge", seconds(runs["merge"]), "s", 0.25),
        Figure("imports of merge", _imports(runs[TOLD]), "s", 0.12),
        Figure("merge / start of Python", ratio(runs["merge"], runs["python -c pass"]), "×"),
    )
    return Result(runs, figures)


TOLD = "merge, -X importtime"


def version(bench: Bench) -> Result:
    """`wheelfuse --version` as a whole process, beside the same question to two peers, and the start of Python."""
    runs = bench.alternate(
        programs.wheelfuse("wheelfuse --version", "--version"),
        programs.python("python -c pass", "-c", "pass"),
        programs.tool("auditwheel", bench.tools, "--version", label="auditwheel --version"),
        programs.tool("abi3audit", bench.tools, "--version", label="abi3audit --version"),
    )
    ours = runs["wheelfuse --version"]
    figures = (
        Figure("wheelfuse --version", seconds(ours), "s", 0.10),
        Figure("wheelfuse --version / start of Python", ratio(ours, runs["python -c pass"]), "×"),
        Figure(
            "auditwheel --version / wheelfuse --version",
            ratio(runs["auditwheel --version"], ours),
            "×",
            None,
            True,
        ),
        Figure(
            "abi3audit --version / wheelfuse --version",
            ratio(runs["abi3audit --version"], ours),
            "×",
            None,
            True,
        ),
    )
    return Result(runs, figures)


def _imports(runs: tuple[Run, ...]) -> float:
    return median(import_seconds(run.stderr) for run in runs)
