"""GPUs that are newer than the machine code in a file cannot run it, because it holds no PTX.

Machine code (SASS) for sm_80 runs on 8.0 to 8.9 and on nothing later. PTX for compute_80 is compiled by the driver for
any later GPU, at first use. A file with neither for a GPU fails on it at the first kernel launch: "no kernel image is
available for execution on the device". It is a warning if such GPUs are on the market, and only noted if there are
none yet. Files all of whose code is for single GPUs or families (sm_90a, sm_100f) are taken to be so on purpose.

- Reported: machine code for sm_80 alone.
- Not reported: machine code for sm_80, and PTX of compute_90.

How to fix it: build for the newer architectures, or add PTX of the newest one: -gencode arch=compute_90,code=compute_90
(TORCH_CUDA_ARCH_LIST="8.0;9.0+PTX").
Compatibility: https://docs.nvidia.com/cuda/cuda-c-best-practices-guide/index.html#building-for-maximum-compatibility
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.auditing.cuda import grouped_by_code, is_for_future_gpus, is_specific, newest, uncovered
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF702", "no-code-for-newer-gpus", Severity.WARNING, "Newer GPUs cannot run the GPU code")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding for all files with the same architectures."""
    for code, paths in grouped_by_code(subject):
        if is_for_future_gpus(code) and not uncovered(code):
            continue
        if not (code.sass or code.ptx) or is_specific(code):
            continue
        others = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
        gaps = ", ".join(f"sm_{generation}" for generation in uncovered(code))
        what = f"no code for {gaps}" if gaps else f"no PTX for GPUs that come after {newest(code)}"
        yield RULE.finding(
            f"{what}: it has {', '.join(code.architectures)}{others}",
            paths[0],
            todo="Build for these GPUs, or add PTX of the newest architecture (code=compute_NN).",
            details=paths[1:],
            severity=RULE.severity if gaps else Severity.INFO,
        )
