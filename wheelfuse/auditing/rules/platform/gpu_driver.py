"""A file links a library of the GPU driver.

``libcuda.so.1``, ``libnvidia-ml.so.1`` and the like belong to the driver, which no wheel may bring. On a
machine without it (a laptop, most CI, the build stage of a container) the file cannot be loaded at all, so
that even code that wants no GPU, such as documentation or tests on the CPU, cannot import the package.

Where that matters, get the functions at run time: ``cudaGetDriverEntryPoint``, or ``dlopen`` and ``dlsym``.
Otherwise nothing has to be done.

- Reported: a module with ``DT_NEEDED libcuda.so.1``.
- Not reported: the module that gets ``cuLaunchKernel`` by ``cudaGetDriverEntryPoint``.

Source: https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DRIVER__ENTRY__POINT.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.providers import Source
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity
from wheelfuse.auditing.platform import are, located, needs, supplied
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF513", "needs-gpu-driver", Severity.INFO, "A file cannot be loaded without the GPU driver")


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for each library of the driver."""
    for item in supplied(needs(subject).externals, Source.DRIVER):
        path, details = located(item.users)
        yield RULE.finding(
            f"{are(item.users, 'links', 'link')} {item.soname}, so the GPU driver has to be there to load "
            + ("it" if len(item.users) == 1 else "them"),
            path,
            todo="Get its functions by dlopen or cudaGetDriverEntryPoint, if import should work without a GPU",
            details=details,
        )
