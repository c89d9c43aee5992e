"""The formats of answers by name."""

from __future__ import annotations

from wheelfuse.surveying.answer import SurveyAnswer

FORMATS = ("text", "json", "csv", "html")


def answer_as(
    name: str, answer: SurveyAnswer, *, width: int = 100, color: bool = False, plain: bool = False
) -> str:
    """The answer in one of the `FORMATS`. CSV is that of its first table."""
    if name == "json":
        from wheelfuse.report.survey_json import answer_to_json

        return answer_to_json(answer)
    if name == "csv":
        from wheelfuse.report.survey_csv import table_to_csv

        return table_to_csv(answer.tables[0])
    if name == "html":
        from wheelfuse.report.page.surveyed import answer_page

        return answer_page(answer)
    from wheelfuse.report.survey_text import answer_plain, answer_text

    return answer_plain(answer) if plain else answer_text(answer, width=width, color=color)
