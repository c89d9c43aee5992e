"""The site of the documentation: mkdocs finds nothing to warn of, and a browser has nothing to load from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS
from tools.site_hooks import on_page_markdown

LOADED = re.compile(
    r"<(?:script|img|iframe|source)[^>]* src=[\"']?([^\"' >]+)|<link[^>]* href=[\"']?([^\"' >]+)"
)
LINK_OF_A_PAGE = re.compile(r"<link[^>]* rel=[\"']?(?:canonical|prev|next)[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(directory)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=DOCS.parent, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return directory


def test_there_is_a_page_for_each(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file()


def test_nothing_is_loaded_from_the_network(site: Path) -> None:
    found = []
    for page in site.rglob("*.html"):
        text = LINK_OF_A_PAGE.sub("", page.read_text(encoding="utf-8"))
        found += [
            source for pair in LOADED.findall(text) for source in pair if re.match(r"(https?:)?//", source)
        ]
    assert found == []
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//|@import", style.read_text(encoding="utf-8"))


def test_the_check_sees_what_is_loaded() -> None:
    for text in ("<script src=//x.example/a.js>", '<link rel="stylesheet" href="https://x.example/a.css">'):
        assert [source for pair in LOADED.findall(text) for source in pair if "x.example" in source]


def test_files_that_are_no_pages_are_named_and_marks_for_tests_go() -> None:
    class File:
        src_uri = "how-to/a.md"

    class Page:
        file = File()

    text = "<!-- not run: no docker here -->\n[table](../../bench/results/latest.md), [ci](ci.md#x), [up](../index.md)"
    assert on_page_markdown(text, page=Page(), config=None, files=None) == (
        "table (`bench/results/latest.md`), [ci](ci.md#x), [up](../index.md)"
    )
