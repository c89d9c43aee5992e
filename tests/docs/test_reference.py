"""The pages that come from the code."""

from __future__ import annotations

import re

import click
import pytest

import wheelfuse
from tests.docs.pages import DOCS, GENERATED
from tools import api_page, cli_page, json_page
from tools.pages import PAGES, REFERENCE
from wheelfuse.cli import COMMANDS, cli


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_current(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_these_are_the_pages_that_nobody_writes_by_hand() -> None:
    assert {str((REFERENCE / name).relative_to(DOCS)) for name in PAGES} == GENERATED


def test_each_command_has_a_section_with_all_its_options() -> None:
    page = cli_page.page()
    for name in COMMANDS:
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        command = cli.get_command(click.Context(cli), name)
        assert command
        for parameter in command.params:
            if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
                assert all(option in section for option in (*parameter.opts, *parameter.secondary_opts))


def test_everything_public_has_a_section() -> None:
    page = api_page.page()
    assert [name for name in wheelfuse.__all__ if name[0] != "_" and f"\n## {name}\n" not in page] == []
    assert "(self" not in page


def test_what_a_key_refers_to_is_on_the_page() -> None:
    page = json_page.page()
    links = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert links
    assert [link for link in links if f'<a id="{link}"></a>' not in page] == []
