"""``make docs``: writes the pages of docs/reference that tell what the code says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tools import api_page, cli_page, json_page, rule_page, survey_page
from wheelfuse.auditing.rules import entries

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "api.md": api_page.page,
    "cli.md": cli_page.page,
    "json.md": json_page.page,
    "rules.md": lambda: rule_page.page(entries()),
    "survey-tables.md": survey_page.page,
}


def main() -> None:
    """Write all of them."""
    for name, page in PAGES.items():
        path = REFERENCE / name
        path.write_text(page(), encoding="utf-8")
        print(path.relative_to(REFERENCE.parents[1]))


if __name__ == "__main__":
    main()
