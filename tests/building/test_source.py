"""The source tree of a project: which files belong to it, what its digest heeds, and what a copy of it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.building.projects import command_line, git
from wheelfuse.building.source import read
from wheelfuse.errors import InvalidInput

_CAPABILITIES = "-dac_override,-dac_read_search"
_BOUND_BY_MODES = (
    ["setpriv", f"--bounding-set={_CAPABILITIES}", f"--inh-caps={_CAPABILITIES}"] if os.geteuid() == 0 else []
)
"""The beginning of a command that even root runs without the right to read what modes forbid."""


def tree(directory: Path, *names: str) -> Path:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n")
    return directory


def repository(directory: Path, *names: str) -> Path:
    tree(directory, *names)
    git(directory, "init", "-q", "-b", "main")
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "-m", "first")
    return directory


def test_what_git_tracks_or_would_track(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", "pyproject.toml", "a.c", "gone.c")
    tree(root, "new.c", "build/a.o", "wheelhouse/x.whl", "name\twith\ttabs\né.c")
    (root / ".gitignore").write_text("build/\n")
    (root / "gone.c").unlink()
    source = read(root, without=[root / "wheelhouse"])
    assert source.files == (".gitignore", "a.c", "name\twith\ttabs\né.c", "new.c", "pyproject.toml")
    assert source.git == root / ".git"
    assert source.epoch == int(git(root, "log", "-1", "--format=%ct"))
    everything = read(root, ignored=True, without=[root / "wheelhouse"])
    assert set(everything.files) == {*source.files, "build/a.o"}


def test_a_project_below_the_top_of_its_repository_has_what_lies_beside_it(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", "csrc/a.cu", "python/pkg/pyproject.toml", "python/pkg/x.py")
    source = read(root / "python/pkg")
    assert (source.root, source.project) == (root, "python/pkg")
    assert "csrc/a.cu" in source.files
    assert source.has_device_code


def test_submodules_belong_to_it(tmp_path: Path) -> None:
    repository(tmp_path / "lib", "lib.h")
    root = repository(tmp_path / "r", "pyproject.toml")
    git(root, "submodule", "add", "-q", str(tmp_path / "lib"), "third_party/lib")
    assert "third_party/lib/lib.h" in read(root).files


def test_a_project_that_git_is_told_to_ignore_is_taken_as_it_is(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", "a.c")
    (root / ".gitignore").write_text("scratch/\n")
    tree(root, "scratch/pyproject.toml", "scratch/x.c")
    source = read(root / "scratch")
    assert (source.root, source.files, source.git) == (root / "scratch", ("pyproject.toml", "x.c"), None)


def test_without_git_all_files_but_environments_and_caches(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "p", "pyproject.toml", "pkg/a.py", "pkg/__pycache__/a.pyc", ".venv/pyvenv.cfg", ".venv/bin/x",
        ".mypy_cache/CACHEDIR.TAG", ".mypy_cache/x", "wheelhouse/a.whl",
    )  # fmt: skip
    for name in root.rglob("*"):
        os.utime(name, (1_600_000_000, 1_600_000_000))
    source = read(root, without=[root / "wheelhouse"])
    assert source.files == ("pkg/a.py", "pyproject.toml")
    assert source.epoch == 1_600_000_000


def test_the_digest_heeds_names_contents_links_and_modes(tmp_path: Path) -> None:
    root = tree(tmp_path / "p", "pyproject.toml", "a.c", "b.c")
    seen = [read(root).digest]
    (root / "a.c").touch()
    assert read(root).digest == seen[0]
    (root / "a.c").write_text("other")
    seen.append(read(root).digest)
    (root / "a.c").rename(root / "c.c")
    seen.append(read(root).digest)
    (root / "c.c").chmod(0o755)
    seen.append(read(root).digest)
    (root / "link").symlink_to("b.c")
    seen.append(read(root).digest)
    (root / "link").unlink()
    (root / "link").symlink_to("c.c")
    seen.append(read(root).digest)
    assert len(set(seen)) == len(seen)
    elsewhere = tree(tmp_path / "q", "pyproject.toml", "a.c", "b.c")
    assert read(elsewhere).digest == seen[0]


def test_a_copy_is_complete_and_stands_in_the_same_repository(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", "pyproject.toml", "pkg/a.c")
    git(root, "tag", "-a", "v1.2", "-m", "x")
    (root / "pkg/run.sh").write_text("x")
    (root / "pkg/run.sh").chmod(0o755)
    (root / "data").symlink_to("pkg")
    copy = tmp_path / "copy"
    tree(copy, "old.txt")
    source = read(root)
    source.copy(copy)
    names = {
        path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_symlink() or path.is_file()
    }
    assert names == {".git", "data", "pkg/a.c", "pkg/run.sh", "pyproject.toml"}
    assert os.access(copy / "pkg/run.sh", os.X_OK)
    assert (copy / "data").readlink() == Path("pkg")
    assert (copy / "pkg/a.c").stat().st_mtime_ns == (root / "pkg/a.c").stat().st_mtime_ns
    assert git(copy, "describe", "--dirty").strip() == "v1.2"
    assert git(copy, "rev-parse", "--show-toplevel").strip() == str(copy)
    (copy / "pkg/a.c").write_text("changed")
    assert git(copy, "describe", "--dirty").strip() == "v1.2-dirty"
    assert git(root, "diff", "--stat") == ""


def test_a_repository_that_git_refuses_is_told(tmp_path: Path) -> None:
    root = tree(tmp_path / "p", "pyproject.toml")
    (root / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(InvalidInput, match="not a git repository"):
        read(root)


@pytest.mark.parametrize("name", ["a.c", "src"])
def test_what_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    root = tree(tmp_path / "p", "pyproject.toml", "a.c", "src/b.c")
    (root / "pyproject.toml").write_text("")
    (root / name).chmod(0)
    build = command_line(root, "-d", tmp_path / "w", "--python", "3.12")
    done = subprocess.run([*_BOUND_BY_MODES, *build], capture_output=True, text=True)
    (root / name).chmod(0o755)
    assert done.returncode == 3, done.stderr
    assert f"{root / name}: a source that cannot be read: Permission denied" in done.stderr
    assert not (tmp_path / "w").exists()
