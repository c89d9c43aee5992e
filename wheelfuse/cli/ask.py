"""``wheelfuse survey ask``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from wheelfuse.cli import completing, refusals
from wheelfuse.cli.command import Command, Example
from wheelfuse.cli.destinations import Destination, parse_formats, refuse_inputs, write_files
from wheelfuse.cli.terminal import color, echo, plain, width
from wheelfuse.errors import UsageError
from wheelfuse.report.survey_formats import FORMATS, answer_as
from wheelfuse.surveying.answer import SurveyAnswer
from wheelfuse.surveying.asking import ask
from wheelfuse.surveying.questions import entries, find

EXAMPLES = (
    Example("Which wheels break on a CPython?", "wheelfuse survey ask index breaks-on cp315"),
    Example(
        "The same for one that is not released, as a page:",
        "wheelfuse survey ask index breaks-on cp316 --exports libpython3.16.so.1.0 --format html=cp316.html",
    ),
    Example("What else can be asked?", "wheelfuse survey ask --list-questions"),
)
SECTIONS = {
    "What is asked": ("--exports", "--list-questions", "--explain"),
    "What is shown": ("--format", "--output", "--table", "--top", "--plain"),
}


def _list_questions(context: click.Context, _: click.Parameter, given: bool) -> None:
    if given and not context.resilient_parsing:
        from wheelfuse.report.survey_text import titled

        questions = [entry.question for entry in entries()]
        echo(titled(((question.usage, question.title) for question in questions), width()))
        context.exit()


def _explain(context: click.Context, _: click.Parameter, given: str | None) -> None:
    if given and not context.resilient_parsing:
        from wheelfuse.report.rules_text import wrapped

        entry = find(given)
        echo("\n".join((entry.question.usage, *wrapped(entry.explanation, min(width(), 100)))))
        context.exit()


@click.command("ask", cls=Command, no_args_is_help=True, examples=EXAMPLES, sections=SECTIONS)
@click.argument(
    "directory", metavar="DIR", type=click.Path(path_type=Path), shell_complete=completing.directories
)
@click.argument("question", metavar="QUESTION", shell_complete=completing.questions)
@click.argument("arguments", nargs=-1, metavar="[ARGS]...", shell_complete=completing.question_arguments)
@click.option(
    "--exports",
    multiple=True,
    type=click.Path(dir_okay=False, exists=True),
    metavar="FILE",
    help="What the CPython or the torch in question exports: its library, or a list with a symbol in a line. "
    "Several are taken together.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="FORMAT[=FILE]",
    shell_complete=completing.answer_formats,
    help=f"{', '.join(FORMATS)}; more than one is fine if all but one have a FILE.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    shell_complete=completing.files,
    help="Where the format without a FILE goes (default: stdout).",
)
@click.option(
    "--table", metavar="NAME", help="Only this table of the answer; of csv the first one is the default."
)
@click.option(
    "--top",
    type=click.IntRange(min=0),
    metavar="N",
    help="The first N rows of each table, 0 for all (default: 20 as text, else all).",
)
@click.option(
    "--list-questions",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_questions,
    help="Print the questions and exit.",
)
@click.option(
    "--explain",
    is_eager=True,
    expose_value=False,
    callback=_explain,
    metavar="QUESTION",
    shell_complete=completing.questions,
    help="Print what a question means and exit.",
)
def command(
    directory: Path,
    question: str,
    arguments: tuple[str, ...],
    exports: tuple[str, ...],
    formats: tuple[str, ...],
    output: str | None,
    table: str | None,
    top: int | None,
) -> None:
    """Ask a survey, and answer from its tables alone: no wheel is read again.

    DIR is what wheelfuse survey -o wrote. QUESTION is one of abi3-candidates, breaks-on TARGET, fuse-candidates,
    glibc, overclaims, private-symbols, schema, sql 'SELECT ...', torch-range VERSION and uses SYMBOL.
    """
    destinations = parse_formats(formats, output, FORMATS)
    on_stdout = next((to.format for to in destinations if not to.file), "")
    with refusals("survey-answer", as_json=on_stdout == "json"):
        refuse_inputs(destinations, exports)
        _refuse_tables(destinations, directory)
        answer = ask(directory, question, *arguments, exports=exports)
        if table:
            answer = answer.only(table)
        write_files(destinations, lambda name: answer_as(name, answer.cut(top or 0)))
    if on_stdout:
        echo(_shown(on_stdout, answer, top))


def _refuse_tables(destinations: Iterable[Destination], directory: Path) -> None:
    """Nothing is written into the survey itself."""
    inside = directory.resolve()
    for to in destinations:
        if to.file and inside in Path(to.file).resolve().parents:
            raise UsageError(f"{to.file} is in the survey, where only its tables are")


def _shown(name: str, answer: SurveyAnswer, top: int | None) -> str:
    if top is None and name == "text":
        from wheelfuse.report.survey_text import MOST

        top = MOST
    return answer_as(name, answer.cut(top or 0), width=width(), color=color(sys.stdout), plain=plain())
