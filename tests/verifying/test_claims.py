"""What a wheel claims: CPythons, modules with their files, requirements, machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verifying.wheels import extension, wheel
from tests.wheels import build_wheel, compile_library, extension_source
from wheelfuse.errors import InvalidInput, UsageError
from wheelfuse.target import Target
from wheelfuse.verifying.claims import read_claims
from wheelfuse.verifying.machine import describe, fits
from wheelfuse.verifying.options import VerifyOptions, parse_requirements
from wheelfuse.wheel.name import Platform

GLIBC = Platform("x86_64", "glibc", (2, 36))
MUSL = Platform("x86_64", "musl", (0, 0))


def test_tags_and_requires_python_say_which_cpythons(tmp_path: Path) -> None:
    path = build_wheel(tmp_path, tag="cp39-abi3", requires_python=">=3.11,!=3.13.*,<3.15")
    assert read_claims(path).targets == (Target(11), Target(12), Target(14))
    path = build_wheel(tmp_path, tag="cp312.cp313-cp312.cp313t")
    assert read_claims(path).targets == (Target(12), Target(13, free_threaded=True))


def test_each_cpython_picks_its_file(tmp_path: Path) -> None:
    source = extension_source("_c")
    files = {
        name: compile_library(tmp_path / "build" / name, source + f"\nint from_{number};")
        for number, name in enumerate(
            ("_c.cpython-312-x86_64-linux-gnu.so", "_c.cpython-313t-x86_64-linux-gnu.so", "_c.abi3.so")
        )
    }
    [module] = read_claims(build_wheel(tmp_path, tag="py3-none", files=files)).modules
    picked = {str(t): f.path for t in (Target(11), Target(12), Target(13, True)) if (f := module.picked(t))}
    assert picked == {
        "cp311": "_c.abi3.so",
        "cp312": "_c.cpython-312-x86_64-linux-gnu.so",
        "cp313t": "_c.cpython-313t-x86_64-linux-gnu.so",
    }
    assert module.picked(Target(15, free_threaded=True)) is None


def test_requirements_depend_on_the_cpython(tmp_path: Path) -> None:
    lines = "\n".join(
        f"Requires-Dist: {line}"
        for line in (
            "Always>=1",
            "old_one; python_version < '3.11'",
            "exact; python_full_version == '3.12.4'",
            "optional; extra == 'test'",
        )
    )
    claims = read_claims(wheel(tmp_path, {}, metadata_extra=lines))
    assert claims.required(Target(10), "3.10.1") == ("always", "old-one")
    assert claims.required(Target(12), "3.12.4") == ("always", "exact")
    assert claims.itself == "pkg==1.0"


def test_a_wheel_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not listed in RECORD"):
        read_claims(build_wheel(tmp_path, files=extension("_c"), record=""))


@pytest.mark.parametrize(
    ("tag", "glibc", "musl"),
    [
        ("any", True, True),
        ("linux_x86_64", True, True),
        ("manylinux_2_36_x86_64", True, False),
        ("manylinux2014_x86_64", True, False),
        ("manylinux_2_37_x86_64", False, False),
        ("manylinux_2_17_aarch64", False, False),
        ("manylinux_2_17_i686", False, False),
        ("musllinux_1_2_x86_64", False, True),
        ("macosx_11_0_x86_64", False, False),
        ("win_amd64", False, False),
    ],
)
def test_which_machines_a_platform_tag_is_for(tag: str, glibc: bool, musl: bool) -> None:
    assert (fits((tag,), GLIBC), fits((tag,), MUSL)) == (glibc, musl)
    assert fits((tag, "linux_x86_64"), GLIBC)


def test_machines_are_named() -> None:
    assert [describe(GLIBC), describe(MUSL)] == ["x86_64 with glibc 2.36", "x86_64 with musl"]


def test_what_to_install_beside_is_a_requirement_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.whl").touch()
    assert parse_requirements(["pytest>=8", "x.whl"]) == ("pytest>=8", str(tmp_path / "x.whl"))
    for nonsense in ("-r requirements.txt", "--pre", "no such.whl"):
        with pytest.raises(UsageError, match="neither a requirement nor a file"):
            parse_requirements([nonsense])


def test_missing_modules_are_allowed_by_name_or_altogether() -> None:
    options = VerifyOptions(allow_missing=("cp312:pkg._c", "cp313t"))
    assert options.allows_missing(Target(12), "pkg._c")
    assert not options.allows_missing(Target(12), "pkg._d")
    assert options.allows_missing(Target(13, free_threaded=True), "pkg._d")
    assert not options.allows_missing(Target(13), "pkg._c")
