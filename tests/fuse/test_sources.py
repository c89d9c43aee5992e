"""Python source that differs between the wheels, run by real CPythons after the merge."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fuse.merging import TARGETS, Fused, build_matrix, fuse, fuse_matrix, options, refused
from tests.interpreters import available
from tests.wheels import build_wheel
from wheelfuse.target import Target

CP310, CP311, CP312, CP313 = (Target(minor) for minor in (10, 11, 12, 13))
OLD, NEW = (CP310, CP311), (CP312, CP313)
FOUR = OLD + NEW


def source(text: str, **more: str) -> dict[str, str]:
    return {"pkg/__init__.py": "", "pkg/config.py": text, **more}


def per_target(targets: tuple[Target, ...] = TARGETS) -> dict[Target, dict[str, str]]:
    return {target: source(f"NAME = {str(target)!r}\n_HIDDEN = 1\n") for target in targets}


def own(answers: dict[Target, Any]) -> dict[Target, Any]:
    return {target: str(target) for target in answers}


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Fused:
    """A module that differs in every wheel."""
    return fuse_matrix(tmp_path_factory.mktemp("sources"), per_target())


def test_every_cpython_runs_the_variant_of_its_own_wheel(fused: Fused) -> None:
    answers = fused.run("import pkg.config\npkg.config.NAME")
    assert len(answers) >= 2
    assert answers == own(answers)


def test_the_variants_lie_beside_the_dispatcher(fused: Fused) -> None:
    assert fused.names == {
        "pkg/__init__.py",
        "pkg/config.py",
        *(f"pkg/config.{target}.py" for target in TARGETS),
    }
    (resolution,) = fused.resolved("dispatched")
    assert resolution.path == "pkg/config.py"


def test_a_star_import_brings_the_names_of_the_variant(fused: Fused) -> None:
    answers = fused.run("from pkg.config import *\n[NAME, '_HIDDEN' in dir(), '__wheelfuse__' in dir()]")
    assert answers == {target: [str(target), False, False] for target in answers}


def test_the_variants_are_not_found_as_modules(fused: Fused) -> None:
    answers = fused.run("import pkg, pkgutil\n[module.name for module in pkgutil.iter_modules(pkg.__path__)]")
    assert answers == {target: ["config"] for target in answers}


def test_python_m_runs_the_variant(tmp_path: Path) -> None:
    files = {
        target: {
            "pkg/__init__.py": "",
            "pkg/__main__.py": f"import sys\nif __name__ == '__main__':\n    print({str(target)!r}, *sys.argv[1:])\n",
        }
        for target in FOUR
    }
    tree = fuse_matrix(tmp_path, files).unpack()
    for target, python in available().items():
        if target in FOUR:
            command = [str(python), "-B", "-m", "pkg", "word"]
            done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
            assert done.stdout == f"{target} word\n"


def test_wheels_that_agree_share_a_variant(tmp_path: Path) -> None:
    files = {target: source("AGE = 'old'" if target in OLD else "AGE = 'new'") for target in FOUR}
    fused = fuse_matrix(tmp_path, files)
    assert {"pkg/config.cp310.cp311.py", "pkg/config.cp312.cp313.py"} < fused.names
    answers = fused.run("import pkg.config\npkg.config.AGE", FOUR)
    assert answers == {target: "old" if target in OLD else "new" for target in answers}


def test_packages_and_purelib_are_dispatched_too(tmp_path: Path) -> None:
    files = {
        target: {
            "pkg/__init__.py": f"NAME = {str(target)!r}\nfrom . import other",
            "pkg/other.py": "",
            "pkg-1.0.data/purelib/more.py": f"NAME = {str(target)!r}",
        }
        for target in NEW
    }
    fused = fuse_matrix(tmp_path, files)
    assert {resolution.path for resolution in fused.resolved("dispatched")} == {
        "pkg/__init__.py",
        "pkg-1.0.data/purelib/more.py",
    }
    answers = fused.run("import pkg\n[pkg.NAME, pkg.other.__name__]", NEW)
    assert answers == {target: [str(target), "pkg.other"] for target in answers}


def test_importing_it_where_no_wheel_came_fails_and_says_why(tmp_path: Path) -> None:
    fused = fuse_matrix(tmp_path, per_target(NEW))
    code = "try:\n    import pkg.config\nexcept ImportError as error:\n    text = str(error)\ntext"
    for text in fused.run(code, OLD).values():
        assert "this wheel has no variant of config.py for this Python" in text
        assert "cpython-312, cpython-313" in text


# What comes with the source


def test_bytecode_of_a_dispatched_module_is_dropped(tmp_path: Path) -> None:
    files: dict[Target, dict[str, Any]] = {}
    for target in NEW:
        stale = {
            f"pkg/__pycache__/{stem}.cpython-3{target.minor}{level}.pyc": f"{stem} {target}".encode()
            for stem in ("config", "__init__")
            for level in ("", ".opt-1", ".opt-2")
        }
        files[target] = {**per_target(NEW)[target], **stale}
    fused = fuse_matrix(tmp_path, files)
    caches = {name for name in fused.names if name.endswith(".pyc")}
    assert caches == {
        f"pkg/__pycache__/__init__.cpython-3{target.minor}{level}.pyc"
        for target in NEW
        for level in ("", ".opt-1", ".opt-2")
    }
    assert len(fused.resolved("stale-bytecode")) == 6
    answers = fused.run("import pkg.config\npkg.config.NAME", NEW)
    assert answers == own(answers)


def test_bytecode_beside_the_source_is_a_conflict(tmp_path: Path) -> None:
    files: dict[Target, dict[str, Any]] = {
        target: {"pkg/__init__.py": "", "pkg/sole.pyc": str(target).encode()} for target in NEW
    }
    code, message = refused(build_matrix(tmp_path / "in", files))
    assert code == 4
    assert "pkg/sole.pyc: differing bytecode without a CPython's tag in its name" in message


@pytest.mark.parametrize(
    "path", ["pkg-1.0.data/scripts/tool.py", "pkg-1.0.data/scripts/tool", "pkg-1.0.data/data/share/x.py"]
)
def test_scripts_and_data_are_not_dispatched(tmp_path: Path, path: str) -> None:
    files = {target: {path: f"#!python\nprint({str(target)!r})\n"} for target in NEW}
    code, message = refused(build_matrix(tmp_path / "in", files))
    assert code == 4
    assert f"{path}: differing " in message
    assert f"--resolve '{path}=newest'" in message
    assert "-print('cp312')" in message
    assert "+print('cp313')" in message


@pytest.mark.parametrize("strategy", ["newest", "oldest", "cp311"])
def test_a_rule_keeps_one_text_for_all(tmp_path: Path, strategy: str) -> None:
    decider = {"newest": CP313, "oldest": CP310, "cp311": CP311}[strategy]
    fused = fuse_matrix(tmp_path, per_target(FOUR), options(f"pkg/config.py={strategy}"))
    assert fused.names == {"pkg/__init__.py", "pkg/config.py"}
    assert fused.read("pkg/config.py").decode() == per_target()[decider]["pkg/config.py"]


# A module that some wheels do not have


def with_hole(directory: Path) -> list[Path]:
    """Two contents, and one wheel without the module."""
    files = per_target((CP311, CP312, CP313))
    del files[CP312]["pkg/config.py"]
    return build_matrix(directory / "in", files)


def test_an_importable_source_that_some_wheels_lack_is_a_conflict(tmp_path: Path) -> None:
    code, message = refused(with_hole(tmp_path))
    assert code == 4
    assert "pkg/config.py: differing Python source, and some wheels have none" in message
    assert "not in cp312" in message
    for strategy in ("dispatch", "newest", "oldest"):
        assert f"--resolve 'pkg/config.py={strategy}'" in message


FIND = """
name = None
try:
    import pkg.config
    name = pkg.config.NAME
except ModuleNotFoundError as error:
    name = 'missing ' + error.name
name
"""


def test_dispatch_hides_it_from_the_cpythons_of_those_wheels(tmp_path: Path) -> None:
    fused = fuse(with_hole(tmp_path), tmp_path / "out", options("pkg/config.py=dispatch"))
    answers = fused.run(FIND, (CP311, CP312, CP313))
    assert answers == {target: "missing pkg.config" if target == CP312 else str(target) for target in answers}


def test_one_content_that_some_wheels_lack_is_dispatched_on_demand(tmp_path: Path) -> None:
    files = per_target(NEW)
    del files[CP313]["pkg/config.py"]
    given = build_matrix(tmp_path / "in", files)
    code, message = refused(given)
    assert code == 4
    assert "pkg/config.py: only some wheels have it" in message
    fused = fuse(given, tmp_path / "dispatched", options("pkg/config.py=dispatch"))
    answers = fused.run(FIND, NEW)
    assert answers == {target: "missing pkg.config" if target == CP313 else str(target) for target in answers}


def test_the_newest_is_the_newest_that_has_the_file(tmp_path: Path) -> None:
    files = per_target(NEW)
    del files[CP313]["pkg/config.py"]
    fused = fuse_matrix(tmp_path, files, options("pkg/*.py=newest"))
    newest = max(target for target in files if "pkg/config.py" in files[target])
    assert fused.read("pkg/config.py") == files[newest]["pkg/config.py"].encode()


def test_a_rule_of_one_target_drops_what_its_wheel_does_not_have(tmp_path: Path) -> None:
    files = per_target(NEW)
    del files[CP313]["pkg/config.py"]
    assert fuse_matrix(tmp_path, files, options("pkg/*.py=cp313")).names == {"pkg/__init__.py"}


# Wheels that are for several CPythons


def stable(directory: Path, tag: str, text: str | None, requires_python: str = ">=3.10") -> Path:
    files = source(text) if text is not None else {"pkg/__init__.py": ""}
    return build_wheel(directory / "in", tag=tag, files=files, requires_python=requires_python)


def single(directory: Path, target: str, text: str | None) -> Path:
    files = source(text) if text is not None else {"pkg/__init__.py": ""}
    return build_wheel(directory / "in", target, files, requires_python=">=3.10")


def test_an_abi3_wheel_serves_all_others(tmp_path: Path) -> None:
    given = [stable(tmp_path, "cp310-abi3", "NAME = 'abi3'"), single(tmp_path, "cp312", "NAME = 'cp312'")]
    fused = fuse(given, tmp_path / "out")
    gil = [target for target in TARGETS if not target.free_threaded]
    answers = fused.run("import pkg.config\npkg.config.NAME", gil)
    assert answers == {target: "cp312" if target == CP312 else "abi3" for target in answers}


@pytest.mark.parametrize("rule", [(), ("--resolve", "pkg/config.py=dispatch")], ids=["", "dispatch"])
@pytest.mark.parametrize(("older", "newer"), [("cp310-abi3", "cp312-abi3"), ("py3-none", "cp312-abi3")])
def test_of_two_wheels_for_several_cpythons_none_wins_silently(
    tmp_path: Path, older: str, newer: str, rule: tuple[str, ...]
) -> None:
    given = [stable(tmp_path, older, "NAME = 'older'"), stable(tmp_path, newer, "NAME = 'newer'")]
    code, message = refused(given, *rule)
    assert code == 4
    assert "pkg/config.py" in message
    assert older in message
    assert newer in message


def test_nor_do_they_beside_one_for_a_single_cpython(tmp_path: Path) -> None:
    given = [
        stable(tmp_path, "cp310-abi3", "NAME = 'older'"),
        stable(tmp_path, "cp312-abi3", "NAME = 'newer'"),
        single(tmp_path, "cp313", "NAME = 'cp313'"),
    ]
    code, message = refused(given)
    assert code == 4
    assert "pkg/config.py: differing Python source" in message


def test_two_wheels_for_several_cpythons_that_agree_are_the_others(tmp_path: Path) -> None:
    given = [
        stable(tmp_path, "cp310-abi3", "NAME = 'same'"),
        stable(tmp_path, "cp312-abi3", "NAME = 'same'"),
        single(tmp_path, "cp313", "NAME = 'cp313'"),
    ]
    fused = fuse(given, tmp_path / "out")
    answers = fused.run("import pkg.config\npkg.config.NAME", FOUR)
    assert answers == {target: "cp313" if target == CP313 else "same" for target in answers}


def test_dispatch_hides_a_module_that_the_abi3_wheel_lacks_from_its_cpythons(tmp_path: Path) -> None:
    given = [
        stable(tmp_path, "cp310-abi3", None),
        single(tmp_path, "cp311", "NAME = 'cp311'"),
        single(tmp_path, "cp312", "NAME = 'cp312'"),
    ]
    fused = fuse(given, tmp_path / "out", options("pkg/config.py=dispatch"))
    answers = fused.run(FIND, FOUR)
    expected = {CP310: "missing pkg.config", CP311: "cp311", CP312: "cp312", CP313: "missing pkg.config"}
    assert answers == {target: expected[target] for target in answers}


def test_dispatch_hides_a_module_that_only_the_abi3_wheel_has(tmp_path: Path) -> None:
    given = [stable(tmp_path, "cp310-abi3", "NAME = 'abi3'"), single(tmp_path, "cp311", None)]
    fused = fuse(given, tmp_path / "out", options("pkg/config.py=dispatch"))
    answers = fused.run(FIND, FOUR)
    assert answers == {target: "missing pkg.config" if target == CP311 else "abi3" for target in answers}


def test_a_name_of_a_variant_that_is_taken_stops_the_merge(tmp_path: Path) -> None:
    files = per_target(NEW)
    for members in files.values():
        members["pkg/config.cp312.py"] = "# here first"
    code, message = refused(build_matrix(tmp_path / "in", files))
    assert code == 4
    assert "pkg/config.cp312.py: 2 files of the fused wheel would be installed here" in message
