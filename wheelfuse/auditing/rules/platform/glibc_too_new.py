"""A file needs a newer glibc, libstdc++ or other system library than the platform tag promises.

A wheel tagged ``manylinux_2_17_x86_64`` is installed on every system with glibc 2.17 or later (PEP 600). If
one of its files needs the symbol version ``GLIBC_2.34``, or a ``GLIBCXX`` of a compiler that those systems
do not have, then import fails there: ``version `GLIBC_2.34' not found``. With several tags in the name the
lowest counts, since installers take the wheel wherever any of them fits.

Build in an image of the tag's own age (``quay.io/pypa/manylinux2014`` and the like), or give the wheel the
tag that is true. The finding names the deciding symbol versions, and the symbols that bring them in.

- Reported: ``GLIBC_2.34`` in a wheel tagged manylinux_2_28_x86_64.
- Not reported: ``GLIBC_2.28`` and older in it.

Source: https://peps.python.org/pep-0600/ and the symbol versions in https://peps.python.org/pep-0599/.
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.platform import covering_policy
from wheelfuse.auditing.finding import Finding, NotRun, Rule, Severity, few
from wheelfuse.auditing.platform import FileNeeds, claimed, needs, spelled, symbols_of, versions_above
from wheelfuse.auditing.subject import Subject
from wheelfuse.wheel.name import Platform

RULE = Rule(
    "WF501", "glibc-too-new", Severity.ERROR, "A file needs a newer glibc or libstdc++ than the tag promises"
)

_SHOWN = 2  # symbols of each version


def check(subject: Subject) -> Iterator[Finding | NotRun]:
    """One finding for each platform that is not kept; its path is the file that needs the most."""
    files = needs(subject).files
    for platform in claimed(subject):
        if platform.libc == "glibc":
            above = [file for file in files if file.machine == platform.machine and _exceeds(file, platform)]
            if above:
                yield _finding(subject, platform, above)


def _exceeds(file: FileNeeds, platform: Platform) -> bool:
    floor = file.floor
    # Without a library nothing decides: the floor is the first policy of the machine, and the tag is older still.
    return (
        file.libc != "musl"
        and bool(floor.library)
        and (floor.version is None or floor.version > platform.version)
    )


def _finding(subject: Subject, platform: Platform, above: list[FileNeeds]) -> Finding:
    above.sort(key=lambda file: ([-part for part in file.floor.version or (999,)], file.path))
    worst = above[0]
    floor, tag = worst.floor, spelled(subject, platform)
    what = f"{floor.decisive} of {floor.library}" if floor.decisive else floor.library
    if floor.version is None:
        allowed = "which no manylinux tag allows"
        todo = f"Build in the image of {tag}, with a compiler that its systems have"
    else:
        true = Platform(platform.machine, "glibc", covering_policy(floor.version))
        allowed = f"which manylinux tags allow from {_text(floor.version)} on"
        todo = f"Tag the wheel {true.tags[-1]}, or build it in the image of {tag}"
    more = f"; {len(above) - 1} more files need too much" if len(above) > 2 else ""
    more = "; 1 more file needs too much" if len(above) == 2 else more
    return RULE.finding(
        f"needs {what}, {allowed}, but the tag is {tag}{more}",
        worst.path,
        todo=todo,
        details=tuple(_details(subject, above, platform)),
    )


def _text(version: tuple[int, int]) -> str:
    return "_".join(map(str, version))


def _details(subject: Subject, above: list[FileNeeds], platform: Platform) -> Iterator[str]:
    """``pkg/_x.so, pkg/_y.so: GLIBC_2.34 (pthread_create, stat)``: files with equal needs together."""
    together: dict[str, list[str]] = {}
    for file in above:
        together.setdefault(_evidence(subject, file, platform), []).append(file.path)
    return (f"{few(paths)}: {evidence}" for evidence, paths in together.items())


def _evidence(subject: Subject, file: FileNeeds, platform: Platform) -> str:
    """``GLIBC_2.34 (pthread_create, stat)``."""
    parts = []
    for version in versions_above(file, platform.version):
        symbols = symbols_of(subject.files[file.path].image, version)
        dots = ", …" if len(symbols) > _SHOWN else ""
        parts.append(f"{version} ({', '.join(symbols[:_SHOWN])}{dots})" if symbols else version)
    return ", ".join(parts) or file.floor.library
