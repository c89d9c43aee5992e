"""The files of ``.dist-info`` in a merge."""

from __future__ import annotations

import email
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.metadata import Metadata

from tests.fuse.merging import Fused, build_matrix, fuse, fuse_matrix, options, refused
from tests.interpreters import environment, install, run_python
from tests.wheels import build_wheel, contents, metadata
from wheelfuse.target import Target

CP310, CP311, CP312 = (Target(minor) for minor in (10, 11, 12))
TARGETS = (CP310, CP311, CP312)


def fuse_info(
    directory: Path,
    files: dict[Target, dict[str, str | bytes]],
    given: Any = None,
    **settings: Any,
) -> Fused:
    return fuse(wheels(directory, files, **settings), directory / "out", given)


def wheels(directory: Path, files: dict[Target, dict[str, str | bytes]], **settings: Any) -> list[Path]:
    """Wheels that differ in their ``.dist-info``."""
    return [
        build_wheel(directory / "in", str(target), {"pkg/__init__.py": ""}, dist_info=info, **settings)
        for target, info in files.items()
    ]


def info_names(fused: Fused) -> set[str]:
    prefix = f"{fused.plan.dist_info}/"
    standard = {"METADATA", "WHEEL", "RECORD", "wheelfuse.json"}
    return {n.removeprefix(prefix) for n in contents(fused.path) if n.startswith(prefix)} - standard


# METADATA


def test_a_requirement_of_some_wheels_gets_a_marker_and_the_metadata_stays_valid(tmp_path: Path) -> None:
    files: dict[Target, dict[str, str | bytes]] = {
        target: {
            "METADATA": metadata(
                extra="Requires-Dist: always>=1\n"
                + ("Requires-Dist: backport>=2; sys_platform == 'linux'\n" if target == CP310 else "")
            )
        }
        for target in TARGETS
    }
    fused = fuse_info(tmp_path, files)
    parsed = Metadata.from_email(fused.info("METADATA"), validate=True)
    assert parsed.requires_dist
    requirements = {requirement.name: requirement.marker for requirement in parsed.requires_dist}
    assert requirements["always"] is None
    marker = requirements["backport"]
    assert marker
    for version, platform, expected in (
        ("3.10", "linux", True),
        ("3.10", "win32", False),
        ("3.11", "linux", False),
        ("3.12", "linux", False),
    ):
        environment = {
            "python_version": version, "python_full_version": f"{version}.1", "sys_platform": platform
        }  # fmt: skip
        assert marker.evaluate(environment) is expected


def test_a_version_of_the_format_and_the_order_are_no_difference(tmp_path: Path) -> None:
    fields = ["Requires-Dist: a", "Requires-Dist: b", "Keywords: x"]
    files: dict[Target, dict[str, str | bytes]] = {
        CP311: {"METADATA": metadata(extra="\n".join(fields))},
        CP312: {
            "METADATA": metadata(extra="\n".join([*reversed(fields), "Dynamic: license"])).replace(
                "2.1", "2.4"
            )
        },
    }
    fused = fuse_info(tmp_path, files, options(allow_missing=["cp310"]))
    text = fused.info("METADATA")
    assert "Metadata-Version: 2.4" in text
    assert Metadata.from_email(text, validate=True).name == "pkg"


def test_metadata_that_disagrees_is_a_conflict(tmp_path: Path) -> None:
    files: dict[Target, dict[str, str | bytes]] = {
        target: {"METADATA": metadata(extra=f"Home-page: https://{target}.example")} for target in TARGETS
    }
    code, message = refused(wheels(tmp_path, files))
    assert code == 4
    assert "pkg-1.0.dist-info/METADATA" in message
    assert "Home-page" in message
    assert "--resolve 'pkg-1.0.dist-info/METADATA=newest'" in message


def test_a_requires_python_that_disagrees_is_a_conflict(tmp_path: Path) -> None:
    given = [
        build_wheel(tmp_path / "in", str(target), {}, requires_python=f">={target.python_version}")
        for target in TARGETS
    ]
    code, message = refused(given)
    assert code == 4
    assert "Requires-Python" in message


# Entry points


def test_entry_points_are_united_and_installed(tmp_path: Path) -> None:
    files: dict[Target, dict[str, str | bytes]] = {
        target: {
            "entry_points.txt": f"[console_scripts]\ntool = pkg:main\ntool-{target.python_version} = pkg:main\n"
        }
        for target in TARGETS
    }
    code = {"pkg/__init__.py": "def main():\n    print('ran')\n"}
    given = [
        build_wheel(tmp_path / "in", str(target), code, dist_info=info) for target, info in files.items()
    ]
    fused = fuse(given, tmp_path / "out")
    names = {"tool", "tool-3.10", "tool-3.11", "tool-3.12"}
    assert {
        line.partition(" ")[0] for line in fused.info("entry_points.txt").splitlines() if "=" in line
    } == names
    python = environment(CP311, tmp_path / "env")
    install(python, fused.path)
    for name in names:
        done = subprocess.run([python.with_name(name)], capture_output=True, text=True, check=True)
        assert done.stdout == "ran\n"
    listed = run_python(
        python,
        "from importlib.metadata import entry_points\n"
        "print(*sorted(e.name for e in entry_points(group='console_scripts') if 'tool' in e.name))",
    )
    assert set(listed.split()) == names


def test_one_name_for_two_targets_is_a_conflict(tmp_path: Path) -> None:
    files: dict[Target, dict[str, str | bytes]] = {
        target: {"entry_points.txt": f"[console_scripts]\ntool = pkg.{target}:main\n"} for target in TARGETS
    }
    code, message = refused(wheels(tmp_path, files))
    assert code == 4
    assert "entry point tool of group console_scripts differs: 'pkg.cp310:main' in cp310" in message


def test_entry_points_of_some_wheels_come_along(tmp_path: Path) -> None:
    text = "[console_scripts]\ntool = pkg:main\n"
    fused = fuse_info(tmp_path, {CP310: {"entry_points.txt": text}, CP311: {}, CP312: {}})
    assert fused.info("entry_points.txt") == text


def test_lines_of_some_wheels_come_along(tmp_path: Path) -> None:
    fused = fuse_info(
        tmp_path, {CP310: {}, CP311: {"top_level.txt": "pkg\n"}, CP312: {"top_level.txt": "pkg\n"}}
    )
    assert fused.info("top_level.txt") == "pkg\n"


@pytest.mark.parametrize("name", ["top_level.txt", "namespace_packages.txt"])
def test_lines_are_united(tmp_path: Path, name: str) -> None:
    fused = fuse_info(tmp_path, {CP310: {name: "a\nb\n"}, CP311: {name: "b\nc\n"}, CP312: {}})
    assert sorted(fused.info(name).split()) == ["a", "b", "c"]


def test_lines_that_are_no_text_do_not_end_in_a_crash(tmp_path: Path) -> None:
    given = wheels(
        tmp_path, {CP310: {"top_level.txt": b"a\xff\n"}, CP311: {"top_level.txt": "b\n"}, CP312: {}}
    )
    code, message = refused(given)
    assert code == 4
    assert "pkg-1.0.dist-info/top_level.txt" in message


# SBOMs and licences


def test_every_sbom_survives_under_the_name_of_its_targets(tmp_path: Path) -> None:
    path = "sboms/auditwheel.cdx.json"
    files: dict[Target, dict[str, str | bytes]] = {
        target: {path: f'{{"purl": "{target}"}}'} for target in TARGETS
    }
    files[CP311] = dict(files[CP310])
    fused = fuse_info(tmp_path, files)
    assert info_names(fused) == {"sboms/auditwheel.cp310.cp311.cdx.json", "sboms/auditwheel.cp312.cdx.json"}
    assert fused.info("sboms/auditwheel.cp310.cp311.cdx.json") == '{"purl": "cp310"}'
    assert fused.info("sboms/auditwheel.cp312.cdx.json") == '{"purl": "cp312"}'


def test_an_equal_sbom_stays_one(tmp_path: Path) -> None:
    files: dict[Target, dict[str, str | bytes]] = {target: {"sboms/x.cdx.json": "{}"} for target in TARGETS}
    files[CP312] = {}
    assert info_names(fuse_info(tmp_path, files)) == {"sboms/x.cdx.json"}


def test_licences_of_all_wheels_come_along(tmp_path: Path) -> None:
    files: dict[Target, dict[str, str | bytes]] = {
        CP310: {"LICENSE": "MIT", "AUTHORS.md": "me"},
        CP311: {"licenses/LICENSE": "MIT"},
        CP312: {"licenses/LICENSE": "MIT", "licenses/vendor/COPYING": "BSD"},
    }
    fused = fuse_info(tmp_path, files)
    assert info_names(fused) == {"LICENSE", "AUTHORS.md", "licenses/LICENSE", "licenses/vendor/COPYING"}


def test_licences_that_differ_are_all_kept(tmp_path: Path) -> None:
    files: dict[Target, dict[str, str | bytes]] = {
        target: {"licenses/LICENSE.txt": f"(c) {target}"} for target in TARGETS
    }
    fused = fuse_info(tmp_path, files)
    kept = {fused.info(name) for name in info_names(fused)}
    assert kept == {"(c) cp310", "(c) cp311", "(c) cp312"}


def test_every_license_file_that_the_metadata_names_is_there(tmp_path: Path) -> None:
    # PEP 639, and what the public index refuses
    text = metadata(extra="License-Expression: MIT\nLicense-File: LICENSE\nLicense-File: NOTICE").replace(
        "2.1", "2.4"
    )
    files: dict[Target, dict[str, str | bytes]] = {
        target: {"METADATA": text, "licenses/LICENSE": f"(c) {target}", "licenses/NOTICE": "all"}
        for target in TARGETS
    }
    fused = fuse_info(tmp_path, files)
    named = email.message_from_string(fused.info("METADATA")).get_all("License-File") or []
    assert len(named) >= 2
    assert {f"licenses/{name}" for name in named} <= info_names(fused)


# Other files


def test_other_files_of_dist_info_that_differ_are_a_conflict(tmp_path: Path) -> None:
    files: dict[Target, dict[str, str | bytes]] = {target: {"extra.json": str(target)} for target in TARGETS}
    code, message = refused(wheels(tmp_path, files))
    assert code == 4
    assert "pkg-1.0.dist-info/extra.json: differing data" in message


def test_vendored_dist_info_is_united(tmp_path: Path) -> None:
    base = "pkg/_vendor/other-2.0.dist-info"
    files = {
        CP310: {f"{base}/RECORD": "a,,\nb310,,\n", f"{base}/WHEEL": "Tag: cp310-cp310-x\n"},
        CP311: {
            f"{base}/RECORD": "a,,\nb311,,\n",
            f"{base}/WHEEL": "Tag: cp311-cp311-x\n",
            f"{base}/INSTALLER": "pip\n",
        },
    }
    fused = fuse_matrix(tmp_path, files)
    assert sorted(fused.read(f"{base}/RECORD").decode().split()) == ["a,,", "b310,,", "b311,,"]
    assert sorted(fused.read(f"{base}/WHEEL").decode().splitlines()) == [
        "Tag: cp310-cp310-x",
        "Tag: cp311-cp311-x",
    ]
    assert f"{base}/INSTALLER" in fused.names


def test_vendored_dist_info_that_is_no_text_does_not_end_in_a_crash(tmp_path: Path) -> None:
    path = "pkg/_vendor/other-2.0.dist-info/blob"
    files = {target: {path: b"\xff\x00" + str(target).encode()} for target in (CP310, CP311)}
    code, message = refused(build_matrix(tmp_path / "in", files))
    assert code == 4
    assert path in message


def test_the_name_counts_where_the_wheel_file_disagrees(tmp_path: Path) -> None:
    files: dict[Target, dict[str, str | bytes]] = {
        target: {
            "WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {target}-{target}-linux_x86_64\n"
        }
        for target in TARGETS
    }
    fused = fuse_info(tmp_path, files)
    assert "Tag says cp310-cp310-linux_x86_64; installers go by the file name" in fused.warnings
    assert "linux_x86_64" not in fused.path.name
    assert "linux_x86_64" not in fused.info("WHEEL").replace("manylinux", "")


def test_the_result_passes_twine(tmp_path: Path) -> None:
    readme = "Description-Content-Type: text/markdown\nLicense: MIT\nSummary: s"
    files: dict[Target, dict[str, str | bytes]] = {
        target: {"METADATA": metadata(extra=readme + f"\nRequires-Dist: only-{target}")} for target in TARGETS
    }
    fused = fuse_info(tmp_path, files)
    command = [sys.executable, "-m", "twine", "check", "--strict", str(fused.path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
