"""Which CPythons must have come, and what the tags of the fused wheel promise to which."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import parse_wheel_filename

import wheelfuse
from tests.fuse.merging import Fused, fuse, options, refused
from tests.interpreters import available
from tests.native import library, module, soabi
from tests.wheels import build_wheel
from tests.wheels import contents as members
from wheelfuse.target import OLDEST_MAINTAINED, Target
from wheelfuse.wheel.name import accepting


def own(target: str) -> dict[str, bytes]:
    """The module of a wheel for one CPython."""
    return {f"pkg/{soabi('_x', target)}": module("_x", Target.parse(target))}


def wheels(directory: Path, labels: str, requires_python: str = "", **settings: Any) -> list[Path]:
    """Wheels for these labels, ``cp310 cp313t cp39-abi3 cp315-abi3.abi3t``, each with a module of its kind."""
    return [
        build_wheel(
            directory / "in", label, contents(label), tag=label if "-" in label else "",
            requires_python=requires_python, **settings,
        )
        for label in labels.split()
    ]  # fmt: skip


def contents(label: str) -> dict[str, bytes]:
    if "abi3t" in label:
        # PEP 803: one file with both names of PEP 793 and of old
        return {"pkg/_x.abi3t.so": library("void *PyModExport__x(void) { return 0; }")}
    if "abi3" in label:
        return {"pkg/_x.abi3.so": module("_x", "abi3")}
    return own(label)


# Expected are the CPythons that Requires-Python admits


@pytest.mark.parametrize(
    ("requires_python", "came"),
    [
        (">=3.10,<3.14", "cp310 cp311 cp312 cp313"),
        (">=3.10", "cp310 cp311 cp312"),
        (">=3.11", "cp311 cp312 cp313 cp314"),
        (">=3.10,<4", "cp310 cp311"),
        (">=3.10,!=3.11.*", "cp310 cp312"),
        (">=3.10,!=3.11.4", "cp310 cp311 cp312"),
        ("~=3.12", "cp312 cp313"),
        ("==3.12.*", "cp312"),
        (">=3.12,<=3.13", "cp312 cp313"),
        ("", "cp312 cp313"),
        (">=3", "cp311 cp312"),
        (">=2.7", "cp311 cp312"),
        (">=3.8", "cp310 cp311"),
        (">=3.6,<3.12", "cp310 cp311"),
        (">=3.8", "cp38 cp39 cp310 cp311"),
        (">=3.13", "cp313 cp313t cp314 cp314t"),
        (">=3.13", "cp313 cp314 cp314t"),
        (">=3.9", "cp39-abi3"),
        (">=3.9", "cp39-abi3 cp313t cp314t"),
    ],
)
def test_a_complete_set_is_fused(tmp_path: Path, requires_python: str, came: str) -> None:
    fused = fuse(wheels(tmp_path, came, requires_python), tmp_path / "out")
    assert [original.label for original in fused.plan.originals] == came.split()
    assert all(row.missing == () for row in fused.plan.modules)


@pytest.mark.parametrize(
    ("requires_python", "came", "missing"),
    [
        (">=3.10,<3.14", "cp310 cp311 cp313", "cp312"),
        (">=3.10,<3.14", "cp311 cp312", "cp310,cp313"),
        (">=3.10", "cp310 cp312", "cp311"),
        (">=3.10", "cp311 cp312", "cp310"),
        (">=3.10,!=3.11.4", "cp310 cp312", "cp311"),
        ("", "cp310 cp312", "cp311"),
        (">=3.8", "cp311", "cp310"),
        (">=3.8,<3.13", "cp38 cp311", "cp310,cp312"),
        (">=3.13", "cp313t cp314t", "cp313,cp314"),
        (">=3.13", "cp313 cp314t", "cp314"),
        (">=3.10", "cp310 cp312-abi3", "cp311"),
        (">=3.10,<3.19", "cp310 cp311 cp312-abi3", ""),
    ],
)
def test_a_hole_is_refused_with_both_ways_out(
    tmp_path: Path, requires_python: str, came: str, missing: str
) -> None:
    given = wheels(tmp_path, came, requires_python)
    if not missing:
        fuse(given, tmp_path / "out")
        return
    code, message = refused(given)
    assert code == 4
    names = missing.replace(",", ", ")
    assert f"error: {names} {'are' if ',' in missing else 'is'} missing: " in message
    if requires_python:
        assert f"Requires-Python {requires_python} admits" in message
    assert f"--allow-missing {missing}" in message
    if "-" not in came:
        assert f"--expect {came.replace(' ', ',')}" in message


def test_both_ways_out_work(tmp_path: Path) -> None:
    given = wheels(tmp_path, "cp310 cp311 cp313", ">=3.10,<3.14")
    stated = fuse(given, tmp_path / "a", options(expect=["cp310", "cp311", "cp313"]))
    accepted = fuse(given, tmp_path / "b", options(allow_missing=["cp312"]))
    assert stated.path.read_bytes() == accepted.path.read_bytes()


def test_what_the_hole_message_proposes_for_an_abi3_wheel_works(tmp_path: Path) -> None:
    given = wheels(tmp_path, "cp311 cp312-abi3", ">=3.10,<3.15")
    _, message = refused(given)
    proposed = message.partition("--expect ")[2].partition(", or")[0]
    fuse(given, tmp_path / "out", options(expect=proposed.split(",")))


@pytest.mark.parametrize(
    ("came", "expect", "message"),
    [
        ("cp310 cp311", "cp310,cp311,cp312", "cp312 is missing: --expect names it, but no wheel"),
        ("cp310 cp311", "cp310", "cp311 came, but --expect does not name it"),
        ("cp313", "cp313,cp313t", "cp313t is missing"),
        ("cp313 cp313t", "cp313", "cp313t came"),
    ],
)
def test_expect_is_exact(tmp_path: Path, came: str, expect: str, message: str) -> None:
    given = wheels(tmp_path, came, ">=3.10")
    code, text = refused(given, "--expect", expect)
    assert code == 4
    assert message in text


def test_expect_and_allow_missing_work_together(tmp_path: Path) -> None:
    given = wheels(tmp_path, "cp310 cp311", ">=3.10")
    fuse(given, tmp_path / "out", options(expect=["cp310", "cp311", "cp312"], allow_missing=["cp312"]))


def test_an_abi3_wheel_stands_for_all_that_it_serves(tmp_path: Path) -> None:
    expect = [f"cp3{minor}" for minor in range(OLDEST_MAINTAINED.minor, 15)]
    fuse(wheels(tmp_path, "cp39-abi3", ">=3.9"), tmp_path / "out", options(expect=expect))


@pytest.mark.parametrize(
    ("requires_python", "noted"), [(">=3.8", "cp38, cp39"), (">=3.9", "cp39"), (">=3.10", ""), ("", "")]
)
def test_versions_past_their_end_of_life_are_only_noted(
    tmp_path: Path, requires_python: str, noted: str
) -> None:
    fused = fuse(wheels(tmp_path, "cp310", requires_python), tmp_path / "out")
    assert (f"also admits {noted}, past their end of life" in fused.warnings) == bool(noted)
    assert bool(fused.warnings) == bool(noted)


# A module that exists for some targets only


def ragged(directory: Path) -> list[Path]:
    """``pkg._a`` for both, ``pkg._b`` for the newer alone."""
    found = []
    for target in map(Target.parse, ("cp310", "cp311")):
        files = {f"pkg/{soabi('_a', target)}": module("_a", target)}
        if target.minor == 11:
            files[f"pkg/{soabi('_b', target)}"] = module("_b", target)
        found.append(build_wheel(directory / "in", str(target), files, requires_python=">=3.10"))
    return found


def test_a_module_for_some_targets_only_is_reported(tmp_path: Path) -> None:
    code, message = refused(ragged(tmp_path))
    assert code == 4
    assert "extension module pkg._b is missing for cp310; there for cp311" in message
    assert "pkg._a" not in message
    assert "--allow-missing cp310:pkg._b" in message


def test_a_module_that_may_be_missing_is_let_pass(tmp_path: Path) -> None:
    fused = fuse(ragged(tmp_path), tmp_path / "out", options(allow_missing=["cp310:pkg._b"]))
    (row,) = (row for row in fused.plan.modules if row.module == "pkg._b")
    assert row.missing == ("cp310",)
    found = fused.run(
        "import importlib.util\nimportlib.util.find_spec('pkg._b') is not None",
        map(Target.parse, ("cp310", "cp311")),
    )
    assert found == {target: target.minor == 11 for target in found}


@pytest.mark.parametrize("hole", ["cp311:pkg._b", "cp310:pkg._a", "cp310:_b", "cp311"])
def test_another_hole_does_not_help(tmp_path: Path, hole: str) -> None:
    code, message = refused(ragged(tmp_path), "--allow-missing", hole)
    assert code == 4
    assert "pkg._b is missing for cp310" in message


# Platform tags: the strictest floor of the inputs


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [
        (["manylinux_2_17_x86_64", "manylinux_2_28_x86_64"], "manylinux_2_28_x86_64"),
        (
            ["manylinux_2_17_x86_64", "manylinux2014_x86_64"],
            "manylinux2014_x86_64.manylinux_2_17_x86_64",
        ),
        (
            ["manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64"] * 2,
            "manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64",
        ),
        (
            ["manylinux2010_x86_64.manylinux_2_12_x86_64", "manylinux2014_x86_64.manylinux_2_17_x86_64"],
            "manylinux2014_x86_64.manylinux_2_17_x86_64",
        ),
        (
            ["manylinux_2_24_x86_64.manylinux_2_28_x86_64", "manylinux_2_17_x86_64.manylinux_2_34_x86_64"],
            "manylinux_2_24_x86_64",
        ),
        (["manylinux1_x86_64", "manylinux_2_5_x86_64"], "manylinux1_x86_64.manylinux_2_5_x86_64"),
        (["musllinux_1_1_x86_64", "musllinux_1_2_x86_64"], "musllinux_1_2_x86_64"),
        (["linux_x86_64", "linux_x86_64"], "linux_x86_64"),
        (
            ["manylinux_2_17_x86_64.musllinux_1_1_x86_64", "manylinux_2_28_x86_64.musllinux_1_2_x86_64"],
            "manylinux_2_28_x86_64.musllinux_1_2_x86_64",
        ),
    ],
)
@pytest.mark.parametrize("turn", [False, True], ids=["", "turned"])
def test_the_platform_is_the_strictest_floor(
    tmp_path: Path, platforms: list[str], expected: str, turn: bool
) -> None:
    given = [
        build_wheel(tmp_path / "in", target, {}, platform=platform, requires_python=">=3.12")
        for target, platform in zip(
            ("cp312", "cp313"), reversed(platforms) if turn else platforms, strict=True
        )
    ]
    fused = fuse(given, tmp_path / "out")
    assert fused.path.name == f"pkg-1.0-cp312.cp313-cp312.cp313-{expected}.whl"
    assert tags_of(fused) == {
        f"{python}-{abi}-{platform}"
        for python, abi, platform in itertools.product(
            ("cp312", "cp313"), ("cp312", "cp313"), expected.split(".")
        )
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("manylinux_2_17_x86_64", "musllinux_1_2_x86_64"),
        ("manylinux_2_17_x86_64", "manylinux_2_17_aarch64"),
        ("manylinux_2_17_x86_64", "linux_x86_64"),
        ("manylinux_2_17_x86_64", "any"),
    ],
)
def test_another_machine_or_libc_is_refused(tmp_path: Path, first: str, second: str) -> None:
    given = [
        build_wheel(tmp_path / "in", target, {}, platform=platform, requires_python=">=3.12")
        for target, platform in (("cp312", first), ("cp313", second))
    ]
    code, message = refused(given)
    assert code == 4
    assert "they differ in machine and libc" in message
    assert all(str(path.name) in message for path in given)


def tags_of(fused: Fused) -> set[str]:
    lines = fused.info("WHEEL").splitlines()
    tags = [line.removeprefix("Tag: ") for line in lines if line.startswith("Tag: ")]
    assert tags == sorted(set(tags))
    return set(tags)


# Mixes of abi3, abi3t and one CPython each


@pytest.mark.parametrize(
    ("came", "requires_python", "tags"),
    [
        ("cp310 cp313 cp313t cp314t", "", "cp310.cp313.cp314-cp310.cp313.cp313t.cp314t"),
        ("cp39-abi3 cp314t", ">=3.9", "cp314.cp39-abi3.cp314t"),
        ("cp310 cp311 cp312-abi3", ">=3.10", "cp310.cp311.cp312-abi3.cp310.cp311"),
        ("cp312-abi3 cp313t cp314t", ">=3.12", "cp312.cp313.cp314-abi3.cp313t.cp314t"),
        (
            "cp310 cp311 cp312 cp313 cp313t cp314 cp314t cp315-abi3.abi3t",
            ">=3.10",
            "cp310.cp311.cp312.cp313.cp314.cp315-abi3.abi3t.cp310.cp311.cp312.cp313.cp313t.cp314.cp314t",
        ),
        ("cp315-abi3.abi3t", ">=3.15", "cp315-abi3.abi3t"),
    ],
)
def test_mixes_that_serve_every_cpython_they_promise_are_fused(
    tmp_path: Path, came: str, requires_python: str, tags: str
) -> None:
    given = wheels(tmp_path, came, requires_python)
    missing = options(allow_missing=["cp311", "cp312", "cp314"]) if came.startswith("cp310 cp313") else None
    fused = fuse(given, tmp_path / "out", missing)
    assert fused.path.name == f"pkg-1.0-{tags}-manylinux_2_17_x86_64.whl"
    assert len(parse_wheel_filename(fused.path.name, validate_order=True)[3]) == len(tags_of(fused))


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ("cp39-abi3 cp314t", {"cp314t": "cp314t", **{f"cp3{n}": "abi3" for n in range(10, 16)}}),
        (
            "cp310 cp311 cp312-abi3",
            {"cp310": "cp310", "cp311": "cp311", **{f"cp3{n}": "abi3" for n in range(12, 16)}},
        ),
        ("cp310-abi3 cp312", {"cp312": "cp312", "cp310": "abi3", "cp313": "abi3"}),
        ("cp311-abi3 cp315t", {"cp311": "abi3", "cp315": "abi3", "cp315t": "cp315t"}),
    ],
)
def test_each_cpython_of_a_mix_imports_what_its_wheel_had(
    tmp_path: Path, came: str, expected: dict[str, str]
) -> None:
    lowest = min(Target.parse(label.partition("-")[0]).minor for label in came.split())
    fused = fuse(wheels(tmp_path, came, f">=3.{lowest}"), tmp_path / "out")
    answers = fused.run("import pkg._x\npkg._x.built_for", map(Target.parse, expected))
    assert answers
    assert answers == {target: expected[str(target)] for target in answers}


@pytest.mark.parametrize(
    ("came", "requires_python", "promised"),
    [
        # cp310-abi3 is implied, which 3.11 to 3.14 install; and cp310-abi3t
        ("cp310 cp315-abi3.abi3t", "", "cp311, cp312, cp313, cp313t, cp314, cp314t would install"),
        ("cp310 cp312-abi3", "", "cp311 would install"),
        ("cp310 cp311 cp315-abi3", "", "cp312, cp313, cp314 would install"),
        ("cp310 cp311 cp312 cp313 cp314 cp315-abi3.abi3t", "", "cp313t, cp314t would install"),
    ],
)
def test_a_name_that_promises_too_much_is_refused(
    tmp_path: Path, came: str, requires_python: str, promised: str
) -> None:
    given = wheels(tmp_path, came, requires_python)
    holes = ",".join(f"cp3{minor}" for minor in range(10, 16))
    code, message = refused(given, "--allow-missing", holes)
    assert code == 4
    assert promised in message
    assert "promises too much" in message


def test_pairs_that_no_interpreter_generates_are_harmless(tmp_path: Path) -> None:
    fused = fuse(wheels(tmp_path, "cp310 cp312"), tmp_path / "out", options(allow_missing=["cp311"]))
    assert accepting(fused.plan.name.interpreter_tags) == (Target(10), Target(12))


def generations(directory: Path, *tags: str, platform: str = "manylinux_2_17_x86_64") -> list[Path]:
    """Wheels for several CPythons each, with a module of one name that tells whose it is."""
    return [
        build_wheel(
            directory,
            tag=tag,
            files={"pkg/__init__.py": "", "pkg/_x.abi3.so": module("_x", tag)},
            requires_python=">=3.9",
            platform=platform,
        )
        for tag in tags
    ]


def test_of_two_abi3_wheels_each_cpython_imports_the_one_it_would_have_installed(tmp_path: Path) -> None:
    given = generations(tmp_path / "in", "cp39-abi3", "cp312-abi3")
    fused = fuse(given, tmp_path / "out")
    older = {f"pkg/_x.cpython-3{minor}-x86_64-linux-gnu.so" for minor in (9, 10, 11)}
    assert fused.names == {"pkg/__init__.py", "pkg/_x.abi3.so", *older}
    answers = fused.run("import pkg._x\npkg._x.built_for", accepting([("cp39", "abi3")]))
    assert answers == {t: "cp312-abi3" if t.minor >= 12 else "cp39-abi3" for t in answers}
    back = {wheel.path.name: wheel.path for wheel in wheelfuse.split(fused.path, tmp_path / "back")}
    assert {name: members(path) for name, path in back.items()} == {
        path.name: members(path) for path in given
    }
    again = fuse(back.values(), tmp_path / "again")
    assert again.path.read_bytes() == fused.path.read_bytes()


def test_two_abi3_wheels_whose_cpythons_have_several_suffixes_are_refused_clearly(tmp_path: Path) -> None:
    both = "manylinux_2_17_x86_64.musllinux_1_2_x86_64"
    code, message = refused(generations(tmp_path / "in", "cp39-abi3", "cp312-abi3", platform=both))
    assert code == 4
    assert "pkg/_x.abi3.so: the extension suffix of cp39-abi3 on its machine is not known" in message


def test_a_pure_wheel_and_one_for_a_cpython_mix_where_the_module_may_be_missing(tmp_path: Path) -> None:
    given = [
        build_wheel(tmp_path / "in", tag="py3-none", files={"pkg/__init__.py": ""}, requires_python=">=3.12"),
        build_wheel(
            tmp_path / "in", "cp313", {"pkg/__init__.py": "", **own("cp313")}, requires_python=">=3.12"
        ),
    ]
    code, message = refused(given)
    assert code == 4
    assert "extension module pkg._x is missing for cp312, cp313t, cp314" in message
    missing = [f"{target}:pkg._x" for target in accepting([("py3", "none")]) if str(target) != "cp313"]
    fused = fuse(given, tmp_path / "out", options(allow_missing=missing))
    assert fused.path.name == "pkg-1.0-cp313.py3-cp313.none-manylinux_2_17_x86_64.whl"
    found = fused.run(
        "import importlib.util\nimportlib.util.find_spec('pkg._x') is not None",
        map(Target.parse, ("cp312", "cp313", "cp314")),
    )
    assert found == {target: target.minor == 13 for target in found}


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("cp310", "cp310", "2 wheels for cp310"),
        ("cp310-abi3", "cp310-abi3", "2 wheels for"),
        ("py3-none", "py2.py3-none", "2 wheels for"),
    ],
)
def test_two_wheels_for_one_cpython_are_refused(
    tmp_path: Path, first: str, second: str, message: str
) -> None:
    given = [
        build_wheel(
            tmp_path / "in", label, {"pkg/a.py": ""}, tag=label if "-" in label else "", platform=platform
        )
        for label, platform in ((first, "manylinux_2_17_x86_64"), (second, "manylinux_2_28_x86_64"))
    ]
    code, text = refused(given)
    assert code == 4
    assert message in text
    assert all(path.name in text for path in given)


def test_the_interpreters_of_this_machine_are_enough_for_these_tests() -> None:
    assert len(available()) >= 2
