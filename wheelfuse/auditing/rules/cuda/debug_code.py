"""GPU code was compiled for a debugger (nvcc -G), which turns all optimisation of kernels off.

Such kernels are many times slower and larger, and use more registers and memory. It happens when a debug configuration
of CMake or an environment variable with flags slips into a release build. Line information alone (-lineinfo), which
profilers use, costs nothing at run time and is not reported.

- Reported: kernels compiled by ``nvcc -G``.
- Not reported: kernels compiled by ``nvcc -O3 -lineinfo``.

How to fix it: build without -G (--device-debug).
nvcc: https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/index.html#device-debug-g
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.elf.fatbin import natural
from wheelfuse.sizes import human_size

RULE = Rule(
    "WF706", "debug-gpu-code", Severity.WARNING, "GPU code was compiled without optimisation, for a debugger"
)


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for each file."""
    for path, file in sorted(subject.files.items()):
        entries = file.device_code.entries
        if debug := [entry for entry in entries if entry.debug]:
            architectures = sorted({entry.arch for entry in debug}, key=natural)
            yield RULE.finding(
                f"{len(debug)} of {len(entries)} pieces of GPU code were compiled with -G "
                f"({', '.join(architectures)}; {human_size(sum(entry.size for entry in debug))})",
                path,
                todo="Build without nvcc's -G (--device-debug).",
            )
