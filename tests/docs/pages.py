"""The pages of docs/ as blocks of code, each with its marks.

A mark is a comment on the lines above a block:

``<!-- not run: REASON -->``
    the block is not run here, and why
``<!-- exit: 4 -->``
    the exit status that its commands end with, in place of 0
``<!-- varies: numbers -->``
    sizes, times and versions in what it prints are those of one run; so are the columns that they stand in
``<!-- written by: ci github -->``
    the lines stand so in what this command writes
``<!-- schema: github-workflows -->``
    the published schema of this name admits the document

and in the head of a page:

``<!-- needs: cp311 cp312 index -->``
    CPythons that its commands need, or the package index
``<!-- given: NAME... -->``
    what is in the working directory, made by `tests.docs.given`
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
GENERATED = {
    "reference/api.md",
    "reference/cli.md",
    "reference/json.md",
    "reference/rules.md",
    "reference/survey-tables.md",
}
RUN = {"console", "sh", "python"}
"""Languages of blocks that are run."""

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<language>[\w-]*)$")
_MARK = re.compile(r"^ *<!-- (?P<key>[a-z ]+): (?P<value>.*) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins (line of the page), its language, its text and its marks."""

    page: str
    line: int
    language: str
    text: str
    marks: Mapping[str, str]

    @property
    def is_run(self) -> bool:
        return self.language in RUN and not {"not run", "written by"} & self.marks.keys()


@dataclass(frozen=True)
class Step:
    """One command of a page, with what is shown below it (None: nothing is) and its exit status."""

    line: int
    command: str
    shown: str | None
    status: int
    numbers_vary: bool = False


def names() -> list[str]:
    """All pages that people write, by path below docs/."""
    return sorted({str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - GENERATED)


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    return list(_blocks(page, (DOCS / page).read_text(encoding="utf-8").splitlines()))


def head(page: str) -> dict[str, list[str]]:
    """The marks in the head of a page, above its title."""
    text = (DOCS / page).read_text(encoding="utf-8").partition("\n# ")[0]
    marks = filter(None, map(_MARK.match, text.splitlines()))
    return {mark["key"]: mark["value"].split() for mark in marks}


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    marks: dict[str, str] = {}
    number = 0
    while number < len(lines):
        if mark := _MARK.match(lines[number]):
            marks[mark["key"]] = mark["value"]
        elif fence := _FENCE.match(lines[number]):
            end = lines.index(fence["indent"] + fence["fence"], number + 1)
            text = textwrap.dedent("\n".join(lines[number + 1 : end])) + "\n"
            yield Block(page, number + 1, fence["language"], text, marks)
            marks, number = {}, end
        elif lines[number].strip():
            marks = {}
        number += 1


def steps(block: Block) -> list[Step]:
    """The commands of a block: those behind a prompt with what they print, or the block as one script."""
    status = int(block.marks.get("exit", "0"))
    if block.language == "console":
        parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
        assert not parts[0], f"{block.page}:{block.line}: a console begins with a prompt"
        return [_prompted(part, block.line, status, "varies" in block.marks) for part in parts[1:]]
    command = block.text
    if block.language == "python":
        command = f"python - <<'END_OF_PAGE'\n{block.text}END_OF_PAGE\n"
    return [Step(block.line, command, None, status)]


def _prompted(part: str, line: int, status: int, numbers_vary: bool) -> Step:
    command, _, shown = part.partition("\n")
    while command.endswith("\\") or shown.startswith("> "):
        more, _, shown = shown.partition("\n")
        command = f"{command}\n{more.removeprefix('> ')}"
    return Step(line, command + "\n", shown if shown.strip() else None, status, numbers_vary)


def pattern(shown: str, *, numbers_vary: bool = False) -> re.Pattern[str]:
    """What is shown, as a pattern of what is printed: three dots or more stand for any text, alone in a line for any
    lines. How many rules there are may always differ, since a new rule changes no page."""
    parts = []
    for line in shown.strip("\n").split("\n"):
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            words = (_words(word, numbers_vary) for word in re.split(r"\.{3,}", line.rstrip()))
            parts.append(r"[^\n]*?".join(words) + r"\n")
    return re.compile("".join(parts))


def _words(text: str, numbers_vary: bool) -> str:
    text = re.sub(r"\d+(?=\\ rules\\ on\\ )", r"\\d+", re.escape(text))
    if numbers_vary:
        text = re.sub(r"(?<![\w\\.-])\d+(?:\\\.\d+)*|(?<=manylinux_)\d+_\d+", r"\\d[\\d._]*", text)
        text = re.sub(r"(?:\\ )+", " +", text)
    return text
