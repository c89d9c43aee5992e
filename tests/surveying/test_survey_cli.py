"""``wheelfuse survey`` and ``wheelfuse survey ask``: what they print, in every format, and what they refuse."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import html5lib
import pytest
from click.shell_completion import ShellComplete

from tests.fuse.merging import command
from tests.report.test_json import valid
from tests.surveying.generated_rows import drawn, surveyed
from wheelfuse.cli import COMMANDS, cli, survey
from wheelfuse.errors import UsageError
from wheelfuse.report.survey_csv import table_to_csv
from wheelfuse.report.survey_formats import answer_as
from wheelfuse.report.survey_run import run_plain, run_text
from wheelfuse.surveying.answer import Column, Kind, Picture, SurveyAnswer, Table
from wheelfuse.surveying.asking import ask
from wheelfuse.surveying.questions import entries
from wheelfuse.surveying.report import Progress, SurveyReport, Worst

WHEELS = drawn(seed=4, releases=40)
EVIL = "<script>alert(1)</script>\x1b[2J\n::error::\u202e'\"&"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return surveyed(tmp_path_factory.mktemp("cli") / "index", WHEELS)


def report(**changes: Any) -> SurveyReport:
    fields: dict[str, Any] = {
        "output": Path("an index"), "read": 3, "failed": 2, "unchanged": 1,
        "reasons": (("no zip file", 1), (EVIL, 1)), "fetched": 5 << 20, "size": 50 << 20, "requests": 7,
        "shares": ((0.5, 0.02), (0.9, 0.4), (1.0, 1.0)),
        "worst": (Worst("a-1-py3-none-any.whl", "u", 4 << 20, 9 << 20), Worst("b.whl", "u", 10, 10)),
        "seconds": 75.0,
    }  # fmt: skip
    return SurveyReport(**(fields | changes))


ANSWER = SurveyAnswer(
    "uses", (EVIL,), f"Who uses {EVIL}", f"One asks for {EVIL}.",
    (
        Table(
            "wheels", "Wheels",
            (Column("project", "project"), Column("bytes", "bytes", Kind.BYTES), Column("n", "how many", Kind.COUNT),
             Column("files", "files", Kind.LIST), Column("none", "nothing")),
            ((EVIL, -2048, 1234567, (EVIL, *map(str, range(20))), None), ("=1+1", 3 << 20, 0.125, (), None)),
            2, Picture(("project",), ("n",)),
        ),
    ),
    (f"mind {EVIL}",),
)  # fmt: skip


def test_text_shows_the_sentence_and_the_first_rows(index: Path) -> None:
    code, stdout, _ = command("survey", "ask", index, "uses", "*")
    answer = ask(index, "uses", "*")
    assert code == 0
    assert " ".join(stdout.split()).startswith(answer.sentence)
    wheels = answer.tables[0]
    shown = [file for file in wheels.values("file") if str(file) in stdout]
    assert shown == list(wheels.values("file"))[:20]
    assert f"{wheels.total - 20} more of {wheels.total}: --top 0 shows all" in stdout
    assert command("survey", "ask", index, "uses", "*", "--top", "0")[1].count(".whl") == wheels.total


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_text_fits_where_names_do(index: Path, width: int) -> None:
    for entry in entries():
        arguments = {
            "breaks-on": ["cp314"],
            "uses": ["_Py*"],
            "torch-range": ["2.8"],
            "sql": ["SELECT * FROM wheels"],
        }
        answer = ask(index, entry.question.name, *arguments.get(entry.question.name, []), top=9)
        text = answer_as("text", answer, width=width)
        longest = max(len(word) for word in text.split())
        for line in text.splitlines():
            assert len(line) <= max(width, longest + 6) or line.split()[-1:] == [
                line.strip().rsplit(None, 1)[-1]
            ]
            assert line == line.rstrip()


def test_plain_text_has_a_row_in_a_line(index: Path) -> None:
    code, stdout, _ = command("survey", "ask", index, "glibc", "--plain", "--top", "0")
    answer = ask(index, "glibc")
    assert code == 0
    assert len(stdout.splitlines()) == 1 + sum(table.total for table in answer.tables)
    assert stdout.isascii()


def test_json_has_all_and_fits_the_schema(index: Path) -> None:
    arguments = {
        "breaks-on": ["cp314"],
        "uses": ["_Py*"],
        "torch-range": ["2.8"],
        "sql": ["SELECT * FROM symbols"],
    }
    for entry in entries():
        name = entry.question.name
        code, stdout, _ = command("survey", "ask", index, name, *arguments.get(name, []), "--format", "json")
        assert code == 0
        document = valid("survey-answer", stdout)
        answer = ask(index, name, *arguments.get(name, []))
        for table, told in zip(answer.tables, document["tables"], strict=True):
            names = [column["name"] for column in told["columns"]]
            assert [tuple(row[name] for name in names) for row in told["rows"]] == [
                tuple(list(cell) if isinstance(cell, tuple) else cell for cell in row) for row in table.rows
            ]


def test_a_refusal_is_json_where_json_was_asked_for(index: Path) -> None:
    code, stdout, stderr = command("survey", "ask", index, "breaks-on", "cp399", "--format", "json")
    assert code == 2
    assert valid("survey-answer", stdout)["ok"] is False
    assert "what cp399 exports is not known" in stderr


def test_names_stay_as_they_are_in_json_and_are_harmless_elsewhere() -> None:
    document = valid("survey-answer", answer_as("json", ANSWER))
    assert document["tables"][0]["rows"][0]["project"] == EVIL
    for text in (answer_as("text", ANSWER), answer_as("text", ANSWER, plain=True), answer_as("csv", ANSWER)):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\n::error" not in text
        assert r"\x1b[2J\n::error::\u202e" in text


def test_csv_is_read_back_and_holds_no_formula(index: Path) -> None:
    code, stdout, _ = command(
        "survey", "ask", index, "breaks-on", "cp314", "--format", "csv", "--table", "symbols"
    )
    symbols = ask(index, "breaks-on", "cp314").tables[1]
    rows = list(csv.DictReader(io.StringIO(stdout)))
    assert code == 0
    assert [row["symbol"] for row in rows] == list(symbols.values("symbol"))
    assert [row["known"].split("; ") for row in rows if row["known"]] == [
        list(known) for known in symbols.values("known") if isinstance(known, tuple) and known
    ]
    first, second = list(csv.reader(io.StringIO(table_to_csv(ANSWER.tables[0]))))[1:]
    assert first[1:3] == ["-2048", "1234567"]  # numbers are what they are
    assert second == ["'=1+1", str(3 << 20), "0.125", "", ""]


@pytest.mark.parametrize("text", ["=1", "+1", "-x", "@x", "\tx", "\rx", "  =1", "|x", "%x"])
def test_what_a_spreadsheet_would_run_is_a_text(text: str) -> None:
    table = Table("t", "t", (Column("a", "a"), Column("b", "b", Kind.LIST)), ((text, (text, "y")),), 1)
    [row] = list(csv.reader(io.StringIO(table_to_csv(table))))[1:]
    assert all(cell.startswith("'") for cell in row)


def test_the_page_is_one_document_that_nothing_breaks_out_of() -> None:
    page = answer_as("html", ANSWER)
    assert page.endswith("</html>\n")
    parsed = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    scripts = list(parsed.iter("script"))
    assert len(scripts) == 1
    assert "alert" not in "".join(scripts[0].itertext())
    assert r"<script>alert(1)</script>\x1b[2J" in "".join(parsed.find(".//h1").itertext())
    assert {link.get("href", "")[:1] for link in parsed.iter("a")} == {"#"}
    assert not list(parsed.iter("img"))


def test_the_page_shows_each_row_and_draws_the_heaviest(index: Path) -> None:
    answer = ask(index, "fuse-candidates")
    parsed = html5lib.parse(answer_as("html", answer), namespaceHTMLElements=False)
    [table] = answer.tables
    rows = parsed.findall(".//table[@class='answer']/tbody/tr")
    assert [row.find("th").text for row in rows] == list(table.values("project"))
    [figure] = parsed.findall(".//figure")
    bars = figure.findall(".//dd")
    assert len(bars) == min(15, table.total)
    sums = [
        sum(float(rect.get("width")) for rect in bar.iter("{http://www.w3.org/2000/svg}rect")) for bar in bars
    ]
    sizes = [size for size in table.values("size") if isinstance(size, int)]
    assert sums == pytest.approx([1000 * size / max(sizes) for size in sizes[: len(bars)]], abs=0.02)
    assert all(bar.find("strong").text for bar in bars)


def test_a_page_of_many_rows_says_what_it_leaves_out() -> None:
    rows = tuple((f"p{number}",) for number in range(1500))
    answer = SurveyAnswer("sql", (), "t", "s.", (Table("rows", "Rows", (Column("a", "a"),), rows, 1500),))
    page = answer_as("html", answer)
    assert page.count('<th scope="row">') == 1000
    assert "Not shown: 500 more of 1,500." in page


def test_several_formats_go_to_files_whole(index: Path, tmp_path: Path) -> None:
    page, table = tmp_path / "a.html", tmp_path / "a.csv"
    code, stdout, _ = command(
        "survey",
        "ask",
        index,
        "glibc",
        "--format",
        f"html={page}",
        "--format",
        f"csv={table}",
        "--format",
        "json",
    )
    assert code == 0
    assert json.loads(stdout)["question"] == "glibc"
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert table.read_text().startswith("glibc,needed,claimed,projects\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("glib",), "no question is called glib; did you mean glibc?"),
        (("glibc", "2.17"), "glibc has no use for '2.17'"),
        (("uses",), "uses lacks its SYMBOL"),
        (("breaks-on", "py312"), "did you mean cp312?"),
        (("torch-range", "2.99"), "what torch 2.99 exports is not known"),
        (("glibc", "--format", "xml"), "there are text, json, csv, html"),
        (("glibc", "--format", "csv", "--format", "json"), "cannot both go to one place"),
        (("glibc", "--table", "distribtion"), "did you mean distribution?"),
        (("sql", "DROP VIEW wheels"), "not one SELECT"),
    ],
)
def test_calls_that_make_no_sense(index: Path, arguments: tuple[str, ...], message: str) -> None:
    code, stdout, stderr = command("survey", "ask", index, *arguments)
    assert (code, stdout) == (2, "")
    assert message in stderr


def test_nothing_is_written_into_the_survey_or_over_an_input(index: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("PyObject_GetAttr\n")
    code, _, stderr = command("survey", "ask", index, "glibc", "--format", f"csv={index}/wheels/x.csv")
    assert (code, "is in the survey" in stderr) == (2, True)
    code, _, stderr = command(
        "survey", "ask", index, "breaks-on", "cp316", "--exports", listed, "--format", f"csv={listed}"
    )
    assert (code, "is an input" in stderr) == (2, True)


def test_questions_are_listed_and_explained() -> None:
    code, stdout, _ = command("survey", "ask", "--list-questions")
    assert code == 0
    assert [line.split()[0] for line in stdout.splitlines() if not line.startswith(" ")] == [
        entry.question.name for entry in entries()
    ]
    for entry in entries():
        code, stdout, _ = command("survey", "ask", "--explain", entry.question.name)
        assert code == 0
        assert "".join(entry.explanation.replace("``", "`").split()) in "".join(stdout.split())
    assert command("survey", "ask", "--explain", "glib")[0] == 2


def test_the_help_of_ask_names_each_question() -> None:
    text = " ".join(command("survey", "ask", "--help")[1].split())
    for entry in entries():
        assert entry.question.name in text
    assert "Usage: wheelfuse survey ask [OPTIONS] DIR QUESTION [ARGS]..." in text


def completions(*words: str, typed: str = "") -> list[str]:
    shell = ShellComplete(cli, {}, "wheelfuse", "_X")
    return [item.value for item in shell.get_completions(list(words), typed)]


def test_questions_and_what_they_take_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "index").mkdir()
    (tmp_path / "a.whl").touch()
    (tmp_path / "notes").touch()
    assert "survey" in completions(typed="su")
    assert completions("survey") == ["ask", "a.whl", "index/"]
    assert completions("survey", "ask") == ["index/"]
    assert completions("survey", "ask", "index") == [entry.question.name for entry in entries()]
    assert completions("survey", "ask", "index", typed="fu") == ["fuse-candidates"]
    assert completions("survey", "ask", "index", "breaks-on", typed="cp315") == ["cp315", "cp315t"]
    assert "2.8" in completions("survey", "ask", "index", "torch-range")
    assert completions("survey", "ask", "index", "glibc", "--format", typed="h") == ["html"]


Called = dict[str, Any]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[SurveyReport], Called]:
    """Makes the survey a report, and tells how it was called."""

    def make(outcome: SurveyReport) -> Called:
        called: Called = {}

        def survey_(locations: tuple[str, ...], output: Path, **options: Any) -> SurveyReport:
            called.update(options, locations=locations, output=output)
            options["progress"](Progress(1, None, 0, 0, 10, 20, 1.0))
            options["tell"]("the dashboard is at http://host\x1b[2J")
            return outcome

        monkeypatch.setattr(survey, "survey", survey_)
        return called

    return make


def test_every_option_arrives(made: Callable[[SurveyReport], Called], tmp_path: Path) -> None:
    called = made(report())
    code, stdout, stderr = command(
        "survey", "a", "b", "-o", tmp_path, "--include", "x*", "--include", "y*", "--exclude", "z", "--resume",
        "--workers", "3", "--scheduler", "tcp://h:1", "--deadline", "7", "--max-members", "9",
    )  # fmt: skip
    assert code == 0
    assert called["locations"] == ("a", "b")
    assert called["output"] == tmp_path
    assert (called["include"], called["exclude"]) == (("x*", "y*"), ("z",))
    assert (called["resume"], called["workers"], called["scheduler"]) == (True, 3, "tcp://h:1")
    assert (called["deadline"], called["limits"].members) == (7.0, 9)
    assert r"note: the dashboard is at http://host\x1b[2J" in stderr
    assert "3 wheels read" in stdout


def test_a_directory_called_ask_is_surveyed_by_its_path(
    made: Callable[[SurveyReport], Called], tmp_path: Path
) -> None:
    called = made(report())
    assert command("survey", "./ask", "-o", tmp_path)[0] == 0
    assert called["locations"] == ("./ask",)
    assert command("survey", "-o", tmp_path, "ask")[0] == 0
    assert called["locations"] == ("ask",)


@pytest.mark.parametrize(
    ("read", "unchanged", "failed", "code"), [(1, 0, 5, 0), (0, 1, 5, 0), (0, 0, 5, 3), (0, 0, 0, 3)]
)
def test_not_one_wheel_that_could_be_read_is_a_failure(
    made: Callable[[SurveyReport], Called], read: int, unchanged: int, failed: int, code: int
) -> None:
    made(report(read=read, unchanged=unchanged, failed=failed))
    assert command("survey", "x", "-o", "y")[0] == code


def test_the_end_of_a_run_says_what_was_fetched_what_failed_and_what_to_ask() -> None:
    text = run_text(report(), width=200)
    assert "3 wheels read, 1 unchanged, 2 failed, in 1 min 15 s" in text
    assert "fetched 5.0 MiB of 50.0 MiB, 10.0%, in 7 requests; of half of the wheels at most 2.0%" in text
    assert "4.0 MiB of 9.0 MiB: a-1-py3-none-any.whl" in text
    assert "b.whl" not in text  # small ones come as a whole
    assert "1: no zip file" in text
    assert "wheelfuse survey ask 'an index' breaks-on cp315" in text
    assert "\x1b" not in text
    plain = run_plain(report())
    assert r"failed: 1: <script>alert(1)</script>\x1b[2J\n::error" in plain
    assert run_plain(report(read=0, failed=0, unchanged=0)).startswith("There is no wheel.")


def test_a_usage_error_of_the_survey_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> SurveyReport:
        raise UsageError("no")

    monkeypatch.setattr(survey, "survey", refuse)
    code, _, stderr = command("survey", "x", "-o", "y")
    assert (code, stderr) == (2, "error: no\n")
    assert command("survey", "x")[0] == 2


def test_the_help_of_the_survey_leads_to_ask() -> None:
    text = command("survey", "--help")[1]
    assert "wheelfuse survey ask DIR QUESTION" in " ".join(text.split())
    assert re.search(r"^  wheelfuse survey ask index", text, re.MULTILINE) or "survey ask index" in text
    assert "survey" in COMMANDS
    assert isinstance(survey.command, click.Command)
