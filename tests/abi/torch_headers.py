"""What torch's headers offer to extensions for its stable ABI, and since when: makes ``torch_stable_names.txt``.

``python -m tests.abi.torch_headers 2.9=DIR 2.15=DIR …``, where DIR is ``torch/include/torch`` of that release. A name
counts from the first release whose headers have it, or from the version that a guard in them asks for
(``#if TORCH_FEATURE_VERSION >= TORCH_VERSION_2_13_0``), if that is later.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = Path(__file__).with_name("torch_stable_names.txt")

_HEADERS = (
    "csrc/stable/*.h",
    "headeronly/core/*.h",
    "headeronly/util/Exception.h",
    "headeronly/util/Header*.h",
)
_GUARD = re.compile(r"#\s*if\s+TORCH_FEATURE_VERSION\s*>=\s*TORCH_VERSION_(\d+)_(\d+)_\d+")
_NAMESPACE = re.compile(r"HIDDEN_NAMESPACE_BEGIN\(([\w, ]+)\)|^namespace ([\w:]+) \{")
_MACRO = re.compile(r"#define ((?:STD|STABLE)_[A-Z_]+|TORCH_BOX)\b")
_CLASS = re.compile(r"(?:class|struct) (\w+)(?: final)? \{")
_FUNCTION = re.compile(r"inline [\w:&<>* ]*?(\w+)\(")
_METHOD = re.compile(r"  (?:explicit |const |static )?[\w:&<>*]+(?: \*)? (\w+)\([^;]*$")
_USING = re.compile(r"using (?:c10|at)::(?:\w+::)?(\w+);")


def names(header: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """The macros, classes, methods and functions of a header, each with the version that its guard asks for."""
    guards: list[tuple[int, int]] = []
    namespace, owner = "", ""
    for line in header.splitlines():
        since = max(guards, default=(0, 0))
        if re.match(r"#\s*if", line):
            guard = _GUARD.match(line)
            guards.append((int(guard[1]), int(guard[2])) if guard else (0, 0))
        elif re.match(r"#\s*else", line) and guards:
            guards[-1] = (0, 0)
        elif re.match(r"#\s*endif", line) and guards:
            guards.pop()
        elif match := _MACRO.match(line):
            yield match[1], since
        elif match := _NAMESPACE.search(line):
            namespace, owner = "::".join(re.findall(r"\w+", match[1] or match[2])), ""
        elif line.startswith("}"):
            owner = ""
        elif not namespace.startswith("torch::"):
            continue
        elif match := _USING.match(line):
            yield f"{namespace}::{match[1]}", since
        elif match := _CLASS.match(line):
            owner = f"{namespace}::{match[1]}"
            yield owner, since
        elif match := _FUNCTION.match(line):
            yield f"{namespace}::{match[1]}", since
        elif owner and (match := _METHOD.match(line)):
            yield f"{owner}::{match[1]}", since


def measure(releases: dict[tuple[int, int], Path]) -> dict[str, tuple[int, int]]:
    """The names in the headers of these releases, and since when."""
    found: dict[str, tuple[int, int]] = {}
    for release, include in sorted(releases.items()):
        for header in sorted(header for pattern in _HEADERS for header in include.glob(pattern)):
            for name, guard in names(header.read_text(encoding="utf-8")):
                if "detail" not in name.split("::"):
                    found.setdefault(name, max(release, guard))
    return found


def main() -> None:
    releases = {}
    for argument in sys.argv[1:]:
        version, _, directory = argument.partition("=")
        major, minor = version.split(".")
        releases[int(major), int(minor)] = Path(directory)
    oldest, newest = (".".join(map(str, edge(releases))) for edge in (min, max))
    lines = [
        f"# What the headers of torch {oldest} to {newest} offer for the stable ABI, each with the first version."
    ]
    lines += [f"{name} {major}.{minor}" for name, (major, minor) in sorted(measure(releases).items())]
    NAMES.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
