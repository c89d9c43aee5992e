"""GPU code is compiled when the package runs: it needs libnvrtc, or ships CUDA sources and headers for it.

Run-time compilation makes first calls slow, needs a CUDA compiler of the right version where the package is used, and
the headers that it includes make the wheel larger. Kernels that were compiled ahead of time need neither. This is for
information.

- Reported: a module with ``DT_NEEDED libnvrtc.so.13``.
- Not reported: the module with its kernels compiled by nvcc.

How to do without: compile the kernels for the architectures that matter when the wheel is built.
NVRTC: https://docs.nvidia.com/cuda/nvrtc/index.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from wheelfuse.auditing.cuda import compiler_libraries, is_header
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.sizes import human_size

RULE = Rule("WF705", "run-time-compilation", Severity.INFO, "GPU code is compiled at run time")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for the input."""
    users = {
        path: found for path, file in sorted(subject.files.items()) if (found := compiler_libraries(file))
    }
    kernels = [path for path in subject.sizes if path.endswith(".cu")]
    if not users and not kernels:
        return
    headers = {path: size for path, size in subject.sizes.items() if is_header(path)}
    names = sorted({name for found in users.values() for name in found})
    parts = [f"{_count(users, 'file')} with {', '.join(names)}"] if users else []
    if headers:
        parts.append(f"{_count(headers, 'header')} of {human_size(sum(headers.values()))}")
    if kernels:
        parts.append(_count(kernels, "CUDA source"))
    yield RULE.finding(
        f"GPU code is compiled at run time, or can be: {', '.join(parts)}",
        next(iter(users), ""),
        todo="Compile ahead of time what can be, and leave out headers that nothing includes.",
        details=(*(f"{path}: {', '.join(found)}" for path, found in users.items()), *_largest(headers)),
    )


def _count(
    found: dict[str, object] | dict[str, int] | dict[str, tuple[str, ...]] | list[str], what: str
) -> str:
    return f"1 {what}" if len(found) == 1 else f"{len(found):,} {what}s"


def _largest(headers: dict[str, int]) -> Iterator[str]:
    """The directories with the most bytes of headers: three levels of each path."""
    bytes_of: Counter[str] = Counter()
    for path, size in headers.items():
        bytes_of["/".join(path.split("/")[:-1][:3])] += size
    for directory, size in bytes_of.most_common(5):
        yield f"{directory}/: {human_size(size)} of headers"
