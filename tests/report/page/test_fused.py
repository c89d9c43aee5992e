"""The page of a merge: where each member came from, what that saved, and why there is no wheel if there is none."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import wheelfuse
from tests import cuda
from tests.fuse.merging import command
from tests.native import library, module, soabi
from tests.real.download import fetched
from tests.report.page.pages import DRAWN, adds_up, drawn, merged, of_stuff
from tests.wheels import build_wheel
from wheelfuse.fuse.api import ReportFile
from wheelfuse.report.page.fused import MADE, SAME
from wheelfuse.report.page.model import Fused, Page, State, Stuff
from wheelfuse.target import Target

CP311, CP312, CP313 = TARGETS = Target(11), Target(12), Target(13)
EXPECTED = "cp311,cp312,cp313"


def wheels(
    directory: Path, more: Mapping[str, Mapping[str, str | bytes]] | None = None, **settings: str
) -> list[Path]:
    """Three wheels with a module each; *more* files by target."""
    return [
        build_wheel(
            directory,
            str(target),
            {
                "pkg/__init__.py": "",
                "pkg/data.bin": "the same " * 1000,
                f"pkg/{soabi('_x', target)}": module("_x", target),
                **(more or {}).get(str(target), {}),
            },
            requires_python=">=3.11,<3.14",
            **settings,
        )
        for target in TARGETS
    ]


def fused_of(page: Page) -> Fused:
    assert page.fused
    return page.fused


def sizes(path: Path) -> dict[str, int]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: info.file_size for info in archive.infolist()}


def test_the_page_of_a_merge_has_the_fused_wheel_and_its_members(tmp_path: Path) -> None:
    given = wheels(tmp_path / "in", {"cp311": {"pkg/only.txt": "x"}})
    code, page = merged(
        *given, "-o", tmp_path, "--report", tmp_path / "r.html", "--resolve", "pkg/only.txt=keep"
    )
    (path,) = tmp_path.glob("*.whl")
    assert code == 0
    assert (tmp_path / "r.html").read_text() == DRAWN
    fused = fused_of(page)
    labels = ("cp311", "cp312", "cp313")
    assert fused.inputs == tuple(
        (label, p.name, p.stat().st_size) for label, p in zip(labels, given, strict=True)
    )
    assert (fused.output, fused.output_size) == (path.name, path.stat().st_size)
    members = {origin.path: origin for origin in fused.members}
    assert {path: origin.size for path, origin in members.items()} == sizes(path)
    assert (members["pkg/data.bin"].how, members["pkg/data.bin"].owners) == (SAME, labels)
    own = members[f"pkg/{soabi('_x', CP312)}"]
    assert (own.owners, own.original, own.how) == (("cp312",), own.path, "only in cp312")
    assert members["pkg/only.txt"].how == "settled by --resolve"
    assert members["pkg-1.0.dist-info/WHEEL"].how == members["pkg-1.0.dist-info/wheelfuse.json"].how == MADE
    (shown,) = page.inputs
    assert (shown.label, shown.size) == (path.name, path.stat().st_size)
    assert shown.contents.size == shown.installed_size == sum(sizes(path).values())
    assert {cell.target for row in shown.answer.modules for cell in row.cells} == set(TARGETS)
    assert page.verdict.sentence.startswith("Fused 3 wheels into one: ")
    assert page.title == "pkg 1.0"


def test_the_accounts_of_a_merge_add_up(tmp_path: Path) -> None:
    """Every byte of the inputs is in the fused wheel, or one of the savings has it; so has the map of the inputs."""
    given = wheels(
        tmp_path / "in", {"cp311": {"pkg/only.txt": "x" * 100}, "cp312": {"pkg/data.bin": "other"}}
    )
    settled = ("--resolve", "pkg/only.txt=drop", "--resolve", "pkg/data.bin=newest")
    code, page = merged(*given, "-o", tmp_path, "--report", tmp_path / "r.html", *settled)
    assert code == 0
    fused = fused_of(page)
    (path,) = tmp_path.glob("*.whl")
    made = ("WHEEL", "RECORD", "wheelfuse.json")
    before = sum(n for p in given for name, n in sizes(p).items() if not name.endswith(made))
    after = sum(n for name, n in sizes(path).items() if not name.endswith(made))
    saved = {saving.how: saving.size for saving in fused.savings if not saving.possible}
    assert before - after == sum(saved.values())
    assert saved["dropped"] == 100
    assert saved["one copy stands for all"] == len("other")
    assert fused.before
    assert fused.before.size == sum(sum(sizes(p).values()) for p in given)
    assert [part.name for part in fused.before.parts] == [p.name for p in given]
    assert adds_up(fused.before)


def test_debug_information_is_a_saving_that_is_possible_or_done(tmp_path: Path) -> None:
    source = "".join(f"struct a{n}_{n}_{n} {{ int first_{n}, second_{n}; }} v{n};\n" for n in range(2000))
    more = {str(target): {"pkg/libbig.so": library(source, "libbig.so", "-g")} for target in TARGETS}
    given = wheels(tmp_path / "in", more)
    _, page = merged(*given, "-o", tmp_path / "a", "--report", tmp_path / "r.html")
    (possible,) = (s for s in fused_of(page).savings if s.possible)
    assert possible.how == "--strip-debug"
    assert possible.size == of_stuff(page.inputs[0].contents, Stuff.DEBUG)
    assert "--strip-debug would save" in page.verdict.next_step
    _, page = merged(*given, "-o", tmp_path / "b", "--report", tmp_path / "r.html", "--strip-debug")
    (done,) = (s for s in fused_of(page).savings if s.what == "Debug information")
    assert done.possible is False
    assert done.size > 0
    assert of_stuff(page.inputs[0].contents, Stuff.DEBUG) == 0


def test_shared_gpu_code_is_told_with_the_files_that_lost_it(tmp_path: Path) -> None:
    given = [cuda.wheel(tmp_path / "in", target) for target in (CP311, CP312)]
    arguments = (
        "-o",
        tmp_path,
        "--report",
        tmp_path / "r.html",
        "--expect",
        "cp311,cp312",
        "--share-device-code",
    )
    code, page = merged(*given, *arguments)
    assert code == 0
    (path,) = tmp_path.glob("*.whl")
    fused = fused_of(page)
    members = {origin.path: origin for origin in fused.members}
    assert {path: origin.size for path, origin in members.items()} == sizes(path)
    (carrier,) = (
        origin for origin in fused.members if origin.how == "GPU code of several files, stored once"
    )
    assert carrier.owners == ()
    moved = [origin for origin in fused.members if "GPU code moved" in origin.how]
    assert {origin.path for origin in moved} == {
        f"{cuda.PACKAGE}/{soabi(cuda.MODULE, t)}" for t in (CP311, CP312)
    }
    (saving,) = (s for s in fused.savings if s.what == "GPU code")
    assert fused.before
    before, after = (of_stuff(b, Stuff.DEVICE_CODE) for b in (fused.before, page.inputs[0].contents))
    assert saving.possible is False
    assert before - after == pytest.approx(saving.size, abs=1 << 14)  # whole pages move


def test_the_report_of_a_refusal_has_the_conflicts_and_the_inputs(tmp_path: Path) -> None:
    markup = "pkg/<b>&.txt"
    given = wheels(tmp_path / "in", {"cp311": {markup: "x"}, "cp312": {"pkg/data.bin": "other"}})
    out = tmp_path / "out"
    code, page = merged(*given, "-o", out, "--report", tmp_path / "r.html")
    assert code == 4
    assert not out.exists()
    assert (tmp_path / "r.html").read_text() == DRAWN
    fused = fused_of(page)
    assert {conflict.path for conflict in fused.conflicts} == {markup, "pkg/data.bin"}
    assert page.verdict.state is State.BAD
    assert page.verdict.sentence == "Not fused: 2 files differ without a rule"
    assert [shown.label for shown in page.inputs] == [path.name for path in given]
    assert all(shown.tables for shown in page.inputs)
    assert (fused.output_size, fused.before, fused.refusals) == (0, None, ())
    assert page.title == "pkg 1.0, not fused"


def test_conflicts_have_the_lines_that_the_command_line_prints(tmp_path: Path) -> None:
    given = wheels(
        tmp_path / "in", {"cp311": {"pkg/d/a b.txt": "x", "pkg/d/c.txt": "x"}, "cp312": {"pkg/it's": "y"}}
    )
    _, page = merged(*given, "-o", tmp_path, "--report", tmp_path / "r.html")
    _, _, told = command("merge", *given, "-o", tmp_path)
    groups = fused_of(page).settling
    assert {path for group in groups for path in group.paths} == {"pkg/d/a b.txt", "pkg/d/c.txt", "pkg/it's"}
    lines = [line for group in groups for line in group.lines]
    assert all(line in told for line in lines)
    assert "--resolve 'pkg/d/**=keep'" in lines
    settled = [argument for group in groups for argument in ("--resolve", f"{group.globs[0]}=keep")]
    assert command("merge", *given, "-o", tmp_path, *settled)[0] == 0


def test_other_refusals_are_told_in_a_line_each(tmp_path: Path) -> None:
    given = wheels(tmp_path / "in")[:2]
    code, page = merged(*given, "-o", tmp_path, "--report", tmp_path / "r.html", "--expect", EXPECTED)
    assert code == 4
    (refusal,) = fused_of(page).refusals
    assert "cp313" in refusal
    assert "\n" not in refusal
    assert page.verdict.sentence.startswith("Not fused: ")
    assert page.verdict.next_step


def test_wheels_of_two_releases_have_a_page_without_a_plan(tmp_path: Path) -> None:
    given = [wheels(tmp_path / "a")[0], wheels(tmp_path / "b", version="2.0")[1]]
    code, page = merged(*given, "-o", tmp_path, "--report", tmp_path / "r.html")
    assert code == 4
    assert [name for _, name, _ in fused_of(page).inputs] == [path.name for path in given]
    assert fused_of(page).refusals
    assert len(page.inputs) == 2


def test_a_damaged_input_has_a_page_too(tmp_path: Path) -> None:
    given = wheels(tmp_path / "in")
    given[0].write_bytes(given[0].read_bytes()[:-30])
    code, page = merged(*given, "-o", tmp_path, "--report", tmp_path / "r.html")
    assert code == 3
    assert [shown.failed for shown in page.inputs] == [True, False, False]
    assert len(fused_of(page).refusals) == 1


def test_a_dry_run_writes_the_page_alone(tmp_path: Path) -> None:
    given = wheels(tmp_path / "in")
    code, page = merged(*given, "-o", tmp_path / "out", "--report", tmp_path / "r.html", "--dry-run")
    assert (code, (tmp_path / "out").exists()) == (0, False)
    assert (tmp_path / "r.html").exists()
    assert page.verdict.sentence == "3 wheels can be fused into one"
    assert len(page.inputs) == 3
    given = wheels(tmp_path / "in", {"cp311": {"pkg/only.txt": "x"}})
    code, page = merged(*given, "-o", tmp_path / "out", "--report", tmp_path / "r.html", "--dry-run")
    assert code == 4
    assert page.verdict.sentence == "Not fused: 1 file differs without a rule"


def test_a_fused_input_has_the_labels_of_all_in_it(tmp_path: Path) -> None:
    given = wheels(tmp_path / "in")
    outcome = wheelfuse.merge(given[:2], tmp_path / "two", wheelfuse.MergeOptions(expect=(CP311, CP312)))
    assert outcome.written
    _, page = merged(outcome.written.path, given[2], "-o", tmp_path, "--report", tmp_path / "r.html")
    assert [(label, name) for label, name, _ in fused_of(page).inputs] == [
        ("cp311, cp312", outcome.written.path.name),
        ("cp313", given[2].name),
    ]


def test_of_very_many_members_the_common_ones_are_told_by_directory(tmp_path: Path) -> None:
    more = {str(t): {f"pkg/d{n % 3}/f{n}.h": f"{n}" for n in range(1200)} for t in TARGETS}
    _, page = merged(*wheels(tmp_path / "in", more), "-o", tmp_path, "--report", tmp_path / "r.html")
    (path,) = tmp_path.glob("*.whl")
    members = fused_of(page).members
    assert len(members) < 20
    assert sum(origin.size for origin in members) == sum(sizes(path).values())
    assert {f"pkg/d{n}/ (400 files)" for n in range(3)} <= {origin.path for origin in members}


# --- files ---


@pytest.mark.parametrize("place", ["input", "link", "output", "config"])
def test_a_report_takes_the_place_of_nothing_else(place: str, tmp_path: Path) -> None:
    given = wheels(tmp_path / "in")
    config = tmp_path / "pyproject.toml"
    config.write_text("")
    outcome = wheelfuse.merge(given, tmp_path / "out")
    assert outcome.written
    link = tmp_path / "link.html"
    link.symlink_to(given[0])
    report = {"input": given[0], "link": link, "output": outcome.written.path, "config": config}[place]
    before = {path: path.read_bytes() for path in (*given, config, outcome.written.path)}
    with drawn() as pages:
        code, _, told = command(
            "merge", *given, "-o", tmp_path / "out", "--force", "--report", report, "--config", config
        )
    assert (code, pages) == (2, [])
    assert "replace" in told or "cannot be the output" in told
    assert {path: path.read_bytes() for path in before} == before


def test_wheel_and_report_are_there_both_or_neither(tmp_path: Path) -> None:
    given, out = wheels(tmp_path / "in"), tmp_path / "out"
    blocked = tmp_path / "no directory"
    blocked.write_text("")
    with drawn():
        code, _, _ = command("merge", *given, "-o", out, "--report", blocked / "r.html")
    assert code == 5
    assert not out.exists()

    def fails(attempt: object) -> str:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        wheelfuse.merge(given, out, report=ReportFile(tmp_path / "r.html", fails))
    assert not out.exists()
    assert not (tmp_path / "r.html").exists()


def test_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("old")
    merged(*wheels(tmp_path / "in"), "-o", tmp_path, "--report", tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == DRAWN


def test_the_audit_of_a_merge_goes_by_its_own_settings(tmp_path: Path) -> None:
    config = tmp_path / "pyproject.toml"
    config.write_text('[tool.wheelfuse.audit]\nselect = ["WF502"]\nmax-ratio = 900\n')
    given, report = wheels(tmp_path / "in"), tmp_path / "r.html"
    _, page = merged(*given, "-o", tmp_path, "--report", report, "--config", config)
    assert {finding.code for _, finding in page.findings} == {"WF502"}
    assert page.verdict.state is State.GOOD


# --- the API ---


def test_a_refusal_carries_what_was_planned(tmp_path: Path) -> None:
    given = wheels(tmp_path / "in", {"cp311": {"pkg/only.txt": "x"}})
    with pytest.raises(wheelfuse.ConflictError) as refusal:
        wheelfuse.merge(given, tmp_path)
    outcome = refusal.value.outcome
    assert isinstance(outcome, wheelfuse.MergeOutcome)
    assert [conflict.path for conflict in outcome.plan.conflicts] == ["pkg/only.txt"]
    assert outcome.written is None
    with pytest.raises(wheelfuse.ConflictError) as early:
        wheelfuse.merge([given[0], wheels(tmp_path / "b", version="2.0")[1]], tmp_path)
    assert early.value.outcome is None


def test_a_report_from_python(tmp_path: Path) -> None:
    with drawn() as pages:
        outcome = wheelfuse.merge(
            wheels(tmp_path / "in"), tmp_path, report=wheelfuse.report_to(tmp_path / "r.html")
        )
    assert outcome.written
    assert pages[0].fused
    assert pages[0].fused.output_size == outcome.written.size == outcome.written.path.stat().st_size


def test_a_report_changes_nothing_of_the_wheel(tmp_path: Path) -> None:
    given = wheels(tmp_path / "in")
    told = []
    for name, arguments in (("a", ()), ("b", ("--report", tmp_path / "r.html"))):
        with drawn():
            _, text, _ = command("merge", *given, "-o", tmp_path / name, "--json", *arguments)
        told.append(json.loads(text)["output"] | {"path": ""})
    assert told[0] == told[1]


# --- real wheels ---


@pytest.mark.real
def test_real_wheels_fused(tmp_path: Path) -> None:
    given = fetched("projects", "markupsafe")
    code, page = merged(*given, "-o", tmp_path, "--report", tmp_path / "r.html")
    assert code == 0
    (path,) = tmp_path.glob("*.whl")
    fused = fused_of(page)
    assert {origin.path: origin.size for origin in fused.members} == sizes(path)
    assert fused.before
    assert fused.before.size == sum(sum(sizes(p).values()) for p in given)
    assert page.inputs[0].installed_size == sum(sizes(path).values())


@pytest.mark.real
def test_real_wheels_refused(tmp_path: Path) -> None:
    """Some wheels of numpy have a file that others lack, which nobody may decide silently."""
    given = fetched("projects", "numpy-2.3.5")
    code, page = merged(*given, "-o", tmp_path, "--report", tmp_path / "r.html")
    assert code == 4
    fused = fused_of(page)
    files = len(fused.conflicts)
    assert (
        page.verdict.sentence
        == f"Not fused: {files} file{'s' * (files > 1)} differ{'s' * (files == 1)} without a rule"
    )
    assert len(page.inputs) == len(given)
    assert all(line.startswith("--resolve ") for group in fused.settling for line in group.lines)
    assert not list(tmp_path.glob("*.whl"))
