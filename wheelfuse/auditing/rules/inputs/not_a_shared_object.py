"""A file is named as an extension module, but is no ELF file that the dynamic loader takes.

Import goes by the name: it finds ``x.cpython-312-x86_64-linux-gnu.so`` first, hands it to the loader, and fails with
"invalid ELF header", even if a Python module of the same name lies beside it. It happens when a symbolic link is
stored as its text, when Git LFS left a pointer, or when an object file was never linked.

- Reported: ``pkg/_C.cpython-312-x86_64-linux-gnu.so`` with the text ``version https://git-lfs.github.com/spec/v1``.
- Not reported: a shared object under that name.

How to fix it: put the shared object there, or leave the file out.
The suffixes: https://docs.python.org/3/library/importlib.html#importlib.machinery.EXTENSION_SUFFIXES
"""

from __future__ import annotations

from collections.abc import Iterator

from wheelfuse.abi.modules import parse_module
from wheelfuse.auditing.coverage import other_systems
from wheelfuse.auditing.finding import Finding, Rule, Severity
from wheelfuse.auditing.subject import Subject

RULE = Rule("WF004", "not-a-shared-object", Severity.ERROR, "A file named as an extension module is none")


def check(subject: Subject) -> Iterator[Finding]:
    """Files with a specific extension suffix that are not among the shared objects."""
    if other_systems(subject):
        return
    damaged = {problem.member for problem in subject.unreadable}
    for path in sorted(subject.sizes.keys() - subject.files.keys() - damaged):
        module = parse_module(path)
        if module and module.suffix != ".so" and module.multiarch != "darwin":
            what = f"named as an extension module, but not a shared object ({subject.sizes[path]} bytes)"
            yield RULE.finding(what, path, todo="Put the shared object there, or leave the file out.")
