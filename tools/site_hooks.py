"""What mkdocs is to do besides (its hooks): ``make site`` writes the pages of docs/ as a site."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import normpath
from typing import Protocol

LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<path>\.\./[^)\s#]+)(?:#[^)\s]*)?\)")
MARK = re.compile(r"^ *<!--.*?-->\n", re.MULTILINE | re.DOTALL)


class _Source(Protocol):
    src_uri: str


class _Page(Protocol):
    file: _Source


def on_page_markdown(markdown: str, *, page: _Page, config: object, files: object) -> str:
    """Leave out the marks for tests, and name files of the repository that are no pages instead of linking them.

    mkdocs calls it for each page (https://www.mkdocs.org/user-guide/configuration/#hooks).
    """
    return LINK.sub(lambda link: _named(link, Path(page.file.src_uri).parent), MARK.sub("", markdown))


def _named(link: re.Match[str], directory: Path) -> str:
    inside = normpath((Path("docs") / directory / link["path"]).as_posix())
    if inside == "docs" or inside.startswith("docs/"):
        return link[0]
    return f"{link['text']} (`{inside}`)" if inside not in link["text"] else f"`{inside}`"
