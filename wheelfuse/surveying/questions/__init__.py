"""The questions, one module each. A module has a docstring (the explanation that ``--explain`` prints), a
``QUESTION``, and ``answer(database: Database, asked: Asked) -> SurveyAnswer``. A module dropped in here is found by
itself.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wheelfuse.errors import Problem, UsageError
from wheelfuse.suggest import meant
from wheelfuse.surveying.answer import SurveyAnswer
from wheelfuse.surveying.database import Database


@dataclass(frozen=True)
class Question:
    """What can be asked: its name, in one line what it is, its *arguments* as usage shows them, and whether it takes
    lists of exported symbols."""

    name: str
    title: str
    arguments: tuple[str, ...] = ()
    exports: bool = False

    @property
    def usage(self) -> str:
        """``breaks-on TARGET [--exports FILE]``."""
        return " ".join((self.name, *self.arguments, *(["[--exports FILE]"] if self.exports else [])))


@dataclass(frozen=True)
class Asked:
    """What somebody asks: the arguments of the question, and the files that hold exported symbols."""

    arguments: tuple[str, ...] = ()
    exports: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A question with its explanation and what answers it."""

    question: Question
    explanation: str
    answer: Callable[[Database, Asked], SurveyAnswer]


@cache
def entries() -> tuple[Entry, ...]:
    """All questions, by name."""
    names = (module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return tuple(sorted(map(_entry, names), key=lambda entry: entry.question.name))


def _entry(name: str) -> Entry:
    module = importlib.import_module(f"{__name__}.{name}")
    return Entry(module.QUESTION, inspect.cleandoc(module.__doc__ or ""), module.answer)


def find(name: str) -> Entry:
    """The question of this name; underscores will do.

    Raises:
        UsageError: there is none; those with similar names are named.
    """
    known = {entry.question.name: entry for entry in entries()}
    wanted = name.lower().replace("_", "-")
    if wanted in known:
        return known[wanted]
    todo = f"There are {', '.join(known)}; wheelfuse survey ask --list-questions tells what each is."
    raise UsageError(Problem(f"no question is called {name}{meant(wanted, known)}", todo=todo))


def checked(entry: Entry, asked: Asked) -> Asked:
    """The same, if it is what the question takes.

    Raises:
        UsageError: an argument is missing or one too many, or there are exports that it has no use for.
    """
    question, given = entry.question, len(asked.arguments)
    usage = f"wheelfuse survey ask DIR {question.usage}"
    if given < len(question.arguments):
        raise UsageError(Problem(f"{question.name} lacks its {question.arguments[given]}", todo=usage))
    if given > len(question.arguments):
        extra = asked.arguments[len(question.arguments)]
        raise UsageError(Problem(f"{question.name} has no use for {extra!r}", todo=usage))
    if asked.exports and not question.exports:
        raise UsageError(Problem(f"{question.name} has no use for --exports", todo=usage))
    return asked
