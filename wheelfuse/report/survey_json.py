"""The answer to a question as JSON: an API, described by ``schemas/survey-answer-1.json``."""

from __future__ import annotations

from typing import Any

from wheelfuse.report.document import dumped
from wheelfuse.surveying.answer import SurveyAnswer, Table

ANSWER = "survey-answer"
"""What the documents are called: ``wheelfuse/survey-answer/1``."""


def answer_to_json(answer: SurveyAnswer) -> str:
    """What ``wheelfuse survey ask --format json`` prints."""
    return dumped(
        {
            "schema": f"wheelfuse/{ANSWER}/1",
            "ok": True,
            "errors": [],
            "question": answer.question,
            "arguments": list(answer.arguments),
            "title": answer.title,
            "sentence": answer.sentence,
            "notes": list(answer.notes),
            "tables": [_table(table) for table in answer.tables],
        }
    )


def _table(table: Table) -> dict[str, Any]:
    names = [column.name for column in table.columns]
    return {
        "name": table.name,
        "title": table.title,
        "columns": [
            {"name": column.name, "title": column.title, "kind": column.kind.value}
            for column in table.columns
        ],
        "total": table.total,
        "rows": [dict(zip(names, row, strict=True)) for row in table.rows],
    }
