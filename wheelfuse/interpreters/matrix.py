"""The targets that a project is built for, and the interpreter of this machine for each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from packaging.specifiers import SpecifierSet

from wheelfuse.abi.cpython import has_table, newest_known
from wheelfuse.errors import Problem, UsageError
from wheelfuse.interpreters.probe import OLDEST, Interpreter, Unusable
from wheelfuse.interpreters.search import Found, choose
from wheelfuse.pyproject import strings
from wheelfuse.target import ALL_TARGETS, OLDEST_MAINTAINED, Target, meant_target
from wheelfuse.wheel.requires_python import admits

TABLE = "[tool.wheelfuse.build]"
"""The table of pyproject.toml that says how a project is built, as messages name it."""

_LISTS = ("pythons", "include", "exclude")
KEYS = frozenset({*_LISTS, "free-threaded"})
"""The keys of that table that decide the matrix."""


@dataclass(frozen=True)
class MatrixOptions:
    """What the user decides about a matrix.

    *pythons*: exactly these, in place of what Requires-Python admits. *include* adds targets, *exclude* takes some
    away. *free_threaded*: also the free-threaded build of every CPython that has one; None: not decided, which is no.
    """

    pythons: tuple[Target, ...] = ()
    include: tuple[Target, ...] = ()
    exclude: tuple[Target, ...] = ()
    free_threaded: bool | None = None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> MatrixOptions:
        """Read those of ``[tool.wheelfuse.build]``: ``pythons``, ``include``, ``exclude``, ``free-threaded``.

        Other keys are not looked at.

        Raises:
            UsageError: a value of the wrong kind.
        """
        what = 'CPythons such as ["3.12", "cp314t"]'
        named, include, exclude = (parse_pythons(strings(table, TABLE, key, of=what)) for key in _LISTS)
        free_threaded = table.get("free-threaded")
        if not isinstance(free_threaded, bool | None):
            raise UsageError(f"{TABLE}: free-threaded is true or false")
        return cls(named, include, exclude, free_threaded)

    def over(self, base: MatrixOptions) -> MatrixOptions:
        """These options on top of *base*: if these name exactly the CPythons, the others say nothing about them."""
        if self.pythons:
            return self
        return replace(
            self,
            pythons=base.pythons,
            include=(*self.include, *(target for target in base.include if target not in self.exclude)),
            exclude=(*self.exclude, *(target for target in base.exclude if target not in self.include)),
            free_threaded=base.free_threaded if self.free_threaded is None else self.free_threaded,
        )


@dataclass(frozen=True)
class Matrix:
    """The targets that a project is built for, in their order, and *notes* on what was assumed to find them."""

    requires_python: str
    targets: tuple[Target, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One target: its interpreter, or else None and those that could not be used for it."""

    target: Target
    interpreter: Interpreter | None
    passed_over: tuple[Unusable, ...] = ()

    @property
    def why_not(self) -> str:
        """Why there is no interpreter, what was passed over in lines of its own; empty if there is one."""
        if self.interpreter:
            return ""
        passed_over = "".join(f"\n    {one.path} {one.reason}" for one in self.passed_over)
        return f"there is no interpreter for it on this machine{passed_over}"


@dataclass(frozen=True)
class Pythons:
    """A matrix on this machine.

    *others* were passed over, but no target is missing for it, or nobody knows which: they did not answer.
    """

    matrix: Matrix
    rows: tuple[Row, ...]
    twins: tuple[Interpreter, ...] = ()
    others: tuple[Unusable, ...] = ()

    @property
    def interpreters(self) -> tuple[Interpreter, ...]:
        """Those to build with, in the order of their targets."""
        return tuple(row.interpreter for row in self.rows if row.interpreter)

    @property
    def missing(self) -> tuple[Target, ...]:
        """The targets without an interpreter."""
        return tuple(row.target for row in self.rows if not row.interpreter)


def parse_pythons(texts: Iterable[str]) -> tuple[Target, ...]:
    """Targets from ``cp312,cp314t``, or ``3.12, 3.14t``, sorted and without repetition.

    Raises:
        UsageError: one of them is no CPython.
    """
    found = set()
    for part in filter(None, (part.strip() for text in texts for part in text.split(","))):
        if not (target := Target.of_name(part)):
            known = f"such as 3.12, cp312, 3.14t or cp314t{meant_target(part)}"
            raise UsageError(f"{part!r} is not a CPython {known}")
        found.add(target)
    return tuple(sorted(found))


def matrix(requires_python: str, options: MatrixOptions | None = None) -> Matrix:
    """The targets that Requires-Python admits, as the options change them.

    An open end is the newest CPython that wheelfuse knows, an open beginning the oldest that gets fixes; notes
    tell of both.

    Raises:
        UsageError: no target follows, the options contradict each other or Requires-Python.
        InvalidInput: Requires-Python is no specifier.
    """
    options = options or MatrixOptions()
    targets, notes = (options.pythons, []) if options.pythons else _admitted(requires_python, options)
    if both := set(options.include) & set(options.exclude):
        raise UsageError(f"{_listed(both)}: both included and excluded")
    if refused := [t for t in (*options.pythons, *options.include) if not admits(requires_python, t)]:
        what = f"requires-python {requires_python!r} does not admit {_listed(refused)}"
        raise UsageError(
            Problem(what, todo="Widen it, or name no CPython on which the wheel cannot be installed.")
        )
    if idle := set(options.exclude) - {*targets, *options.include}:
        notes.append(f"{_listed(idle)}: excluded, but not in the matrix anyway")
    chosen = sorted({*targets, *options.include} - set(options.exclude))
    if not chosen:
        raise UsageError("all CPythons of the matrix are excluded")
    return Matrix(requires_python, tuple(chosen), tuple(notes))


def assign(matrix: Matrix, found: Found) -> Pythons:
    """The interpreter of this machine for each target: the best one whose micro version Requires-Python admits."""
    specifier = SpecifierSet(matrix.requires_python)
    fit, unfit = [], list(found.passed_over)
    for interpreter in (*found.interpreters, *found.twins):
        # Installers hold Requires-Python against the release, without what makes it a candidate.
        if specifier.contains(interpreter.release.base_version):
            fit.append(interpreter)
        else:
            reason = (
                f"is {interpreter.version}, which requires-python {matrix.requires_python} does not admit"
            )
            unfit.append(Unusable(interpreter.path, reason, interpreter.source, interpreter.target))
    chosen = choose(fit)
    best = chosen.by_target
    rows = tuple(
        Row(target, best.get(target), tuple(u for u in unfit if u.target == target and target not in best))
        for target in matrix.targets
    )
    told = {u for row in rows for u in row.passed_over}
    twins = tuple(twin for twin in chosen.twins if twin.target in matrix.targets)
    others = (u for u in unfit if u.target in (None, *matrix.targets))
    return Pythons(matrix, rows, twins, tuple(u for u in others if u not in told))


def _admitted(requires_python: str, options: MatrixOptions) -> tuple[tuple[Target, ...], list[str]]:
    newest, notes = newest_known(), []
    if not requires_python.strip():
        what = "the project states no requires-python, so that no list of CPythons follows from it"
        todo = 'State it ([project] requires-python = ">=3.10"), or name them: [tool.wheelfuse.build] pythons = [...]'
        raise UsageError(Problem(what, todo=todo))
    oldest = OLDEST
    if admits(requires_python, Target(0)):
        oldest = OLDEST_MAINTAINED
        notes.append(f"requires-python states no oldest CPython: from {oldest.python_version} on")
    elif admits(requires_python, Target(OLDEST.minor - 1)):
        notes.append(
            f"requires-python admits older CPythons, too, but nothing is built for those before {oldest}"
        )
    if admits(requires_python, Target(99)):
        notes.append(
            f"requires-python states no newest CPython: up to {newest.python_version}, the newest that is known"
        )
    targets = tuple(
        target
        for target in ALL_TARGETS
        if oldest <= target
        and has_table(target)
        and (options.free_threaded or not target.free_threaded)
        and admits(requires_python, target)
    )
    if not targets and not options.include:
        span = f"from {oldest.python_version} to {newest.python_version}"
        raise UsageError(f"requires-python {requires_python!r} admits no CPython {span}")
    return targets, notes


def _listed(targets: Iterable[Target]) -> str:
    return ", ".join(map(str, sorted(targets)))
