"""Auditing large wheels, and many."""

from __future__ import annotations

from bench import inputs, programs
from bench.cases.bench import Bench
from bench.figures import peak, ratio, seconds
from bench.result import Figure, Result

AS_ABI3 = "abi3audit --assume-minimum-abi3"


def cupy(bench: Bench) -> Result:
    """Audit of the wheel for CPython 3.12 (65 extension modules) with all rules. abi3audit compares nothing in a wheel
    that claims no abi3: it inflates the modules and gives each of them up. With `--assume-minimum-abi3 3.2` it really
    reads them, and that is what the target is about. `auditwheel show` looks at the C library alone."""
    wheel = inputs.cupy()[-1]
    options = ("--report", "--summary")
    assume = ("--assume-minimum-abi3", "3.2")
    runs = bench.alternate(
        programs.audit("audit", [wheel]),
        programs.tool("abi3audit", bench.tools, *options, *assume, wheel, codes=(1,), label=AS_ABI3),
        programs.tool("abi3audit", bench.tools, *options, wheel),
        programs.tool("auditwheel", bench.tools, "show", wheel, label="auditwheel show"),
    )
    audit = runs["audit"]
    figures = (
        Figure("abi3audit --assume-minimum-abi3 / audit", ratio(runs[AS_ABI3], audit), "×", 4, at_least=True),
        Figure("abi3audit / audit", ratio(runs["abi3audit"], audit), "×", at_least=True),
        Figure("auditwheel show / audit", ratio(runs["auditwheel show"], audit), "×", 1, at_least=True),
        Figure("peak memory", peak(audit) / 1e6, "MB"),
    )
    return Result(runs, figures)


def triton(bench: Bench) -> Result:
    """Audit of a wheel with one library of 505 MB (libtriton.so), with all rules."""
    [wheel] = inputs.triton()
    runs = bench.alternate(
        programs.audit("audit", [wheel]),
        programs.tool("abi3audit", bench.tools, "--report", "--summary", wheel),
        programs.tool("auditwheel", bench.tools, "show", wheel, label="auditwheel show"),
    )
    audit = runs["audit"]
    figures = (
        Figure("audit", seconds(audit), "s", 3),
        Figure("peak memory", peak(audit) / 1e6, "MB", 400),
        Figure("abi3audit / audit", ratio(runs["abi3audit"], audit), "×", at_least=True),
        Figure("auditwheel show / audit", ratio(runs["auditwheel show"], audit), "×", at_least=True),
    )
    return Result(runs, figures)


def jobs(bench: Bench) -> Result:
    """Audit of 40 wheels of 9 projects (0.2 to 48 MB each), with one core and with two."""
    wheels = inputs.forty()
    runs = bench.alternate(
        programs.audit("audit --jobs 1", wheels, "--jobs", "1"),
        programs.audit("audit --jobs 2", wheels, "--jobs", "2"),
    )
    speed = ratio(runs["audit --jobs 1"], runs["audit --jobs 2"])
    return Result(runs, (Figure("--jobs 1 / --jobs 2", speed, "×", 1.7, at_least=True),))
