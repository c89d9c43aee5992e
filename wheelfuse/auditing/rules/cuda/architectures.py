"""The builds of one module are not for the same GPUs.

Each CPython gets a file of its own, and these are often built by jobs that have their own settings
(TORCH_CUDA_ARCH_LIST, CMAKE_CUDA_ARCHITECTURES). If one of them leaves out an architecture, the same version of the
package works under one Python and fails under another on the same machine, with "no kernel image is available for
execution on the device". Wheels of one release are compared with each other, too, if they are audited together.

- Reported: machine code for sm_80 and sm_90 in the file for 3.11, and for sm_80 alone in that for 3.12.
- Not reported: machine code for sm_80 and sm_90 in both.

How to fix it: build all of them for one list of architectures. Device code does not depend on the Python version.
GPU architectures: https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/index.html#gpu-feature-list
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.builds import Build, Difference, builds_of_files, differences, labels
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject
from wheelfuse.elf.fatbin import natural

RULE = Rule(
    "WF701", "gpu-architectures-differ", Severity.WARNING, "The builds of a module are not for the same GPUs"
)


def check_release(subjects: tuple[Subject, ...]) -> Iterator[Finding]:
    """One finding for the builds that have other architectures than most."""
    for difference in differences(builds_of_files(subjects), _architectures):
        yield RULE.finding(
            f"{_what(difference)} ({difference.modules})",
            difference.path,
            todo="Build all of them with one list of architectures.",
            details=(
                *(f"{b.label}: {_listed(_architectures(b))}" for b in difference.odd + difference.usual),
                *(difference.names if len(difference.names) > 1 else ()),
            ),
            subject=difference.subject,
        )


def _architectures(build: Build) -> frozenset[str]:
    return frozenset(build.file.device_code.architectures)


def _what(difference: Difference) -> str:
    odd, usual = labels(difference.odd), labels(difference.usual)
    if difference.less:
        also = f", but code for {_listed(difference.more)}" if difference.more else ""
        return f"the build for {odd} has no GPU code for {_listed(difference.less)}{also}, unlike that for {usual}"
    return f"only the build for {odd} has GPU code for {_listed(difference.more)}, that for {usual} has not"


def _listed(architectures: frozenset[str] | tuple[str, ...]) -> str:
    return ", ".join(sorted(architectures, key=natural)) or "no GPU"
