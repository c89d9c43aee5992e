"""Which CUDA run-time library (cudart) the files use: linked statically, or loaded as libcudart.so.

- Reported: a module with ``DT_NEEDED libcudart.so.13``.
- Not reported: a module without GPU code.

A dynamic one must come from elsewhere: the nvidia-cuda-runtime package, torch, or the system; its major version must
be the one that is needed. A static copy needs only the driver. This is for information: see WF704 for what goes wrong.
A static copy does not tell its version; what is said is that of the toolkit which compiled the PTX beside it.
cudart: https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/index.html#cudart-none-shared-static-cudart
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wheelfuse.auditing.cuda import Runtime, runtimes
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF703", "cuda-runtime", Severity.INFO, "Which CUDA run-time library is used")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for the input."""
    users: dict[Runtime, list[str]] = defaultdict(list)
    for path, file in sorted(subject.files.items()):
        for runtime in runtimes(file):
            users[runtime].append(path)
    if not users:
        return
    said = [f"{_text(runtime)} in {_count(paths)}" for runtime, paths in sorted(users.items())]
    yield RULE.finding(
        f"CUDA run-time library: {', '.join(said)}",
        details=tuple(f"{_text(runtime)}: {path}" for runtime in sorted(users) for path in users[runtime]),
    )


def _text(runtime: Runtime) -> str:
    if runtime.how != "static":
        return runtime.how.removeprefix("links ")
    return f"static (CUDA {runtime.major})" if runtime.major else "static"


def _count(paths: list[str]) -> str:
    return "1 file" if len(paths) == 1 else f"{len(paths)} files"
