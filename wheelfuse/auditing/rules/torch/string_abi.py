"""A file was built for a torch with the old std::string of libstdc++.

GCC's library has two std::string, and _GLIBCXX_USE_CXX11_ABI chooses at build time. Both show in the names of C++
symbols. The torch wheels up to 2.6 were built with 0, the old one, those since 2.7 with 1 (so were some builds for
aarch64 and CPU before). A torch of the new kind cannot load a file with names of the old kind, and the other way round.
Both kinds in one file are an error: its objects were compiled with different settings, and no torch has both.

- Reported: a file that needs ``c10::Error::Error(c10::SourceLocation, std::string)`` with the old std::string.
- Not reported: the same with ``std::__cxx11::basic_string``.

How to fix it: build the file again with a torch of 2.7 or newer. torch.utils.cpp_extension sets the macro as that torch
needs it; other build systems ask torch.compiled_with_cxx11_abi().
https://gcc.gnu.org/onlinedocs/libstdc++/manual/using_dual_abi.html
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.torch import StringABI
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.libtorch import distinct, same_in, shortened, torches
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF406", "torch-string-abi", Severity.INFO, "Built for the old std::string, which torch gave up")


def check(subject: Subject) -> Iterator[Finding]:
    """One finding per file; an error where both kinds meet."""
    for paths, item in distinct(subject):
        old, new = item.with_strings(StringABI.OLD), item.with_strings(StringABI.NEW)
        if not old:
            continue
        also = f" and {len(new)} with the new one" if new else ""
        noun = "symbol" if len(old) == 1 else "symbols"
        yield RULE.finding(
            f"{len(old)} {noun} of libtorch with the old std::string{also}: {torches(item.versions)}",
            paths[0],
            todo="Build it again with torch 2.7 or newer, all objects with _GLIBCXX_USE_CXX11_ABI=1.",
            details=(*(map(shortened, old)), *same_in(paths)),
            severity=Severity.ERROR if item.torn else RULE.severity,
        )
