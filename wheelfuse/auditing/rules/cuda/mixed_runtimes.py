"""What is loaded together uses CUDA run-time libraries of different major versions.

Loading one extension module then brings two copies of cudart into the process, each with its own streams, contexts and
registered kernels. Handles of one are unknown to the other: "invalid resource handle", or a crash. An environment also
has to provide both. Files of one wheel that are not loaded together (one library for each CUDA version, of which the
package picks one) are fine.

- Reported: a module that needs ``libcudart.so.12``, and a library that it links which needs ``libcudart.so.13``.
- Not reported: both with ``libcudart.so.13``.

How to fix it: build everything with one CUDA toolkit, or link all of it against the same libcudart.so.
cudart: https://docs.nvidia.com/cuda/cuda-runtime-api/driver-vs-runtime-api.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from wheelfuse.auditing.cuda import runtimes
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule(
    "WF704", "mixed-cuda-runtimes", Severity.WARNING, "CUDA run-time libraries of several major versions"
)


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for each set of files that are loaded together with the same mixture."""
    mixtures: dict[tuple[tuple[str, str, str], ...], list[str]] = defaultdict(list)
    for path in sorted(subject.files):
        used = {
            (runtime.major, runtime.how, reached)
            for reached in subject.tree.reached_from(path)
            for runtime in runtimes(subject.files[reached])
            if runtime.major
        }
        if len({major for major, *_ in used}) > 1:
            mixtures[tuple(sorted(used))].append(path)
    for mixture, paths in mixtures.items():
        majors = sorted({major for major, *_ in mixture}, key=int)
        yield RULE.finding(
            f"what it loads uses the CUDA run-time libraries {' and '.join(majors)}",
            paths[0],
            todo="Build all of it with one CUDA toolkit.",
            details=(*(f"CUDA {major}: {path} ({how})" for major, how, path in mixture), *paths[1:]),
        )
