"""The page as a document: valid, whole without a network, and nothing from a wheel is markup in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest

from tests.report.page.samples import MARKUP, NASTY, SAMPLES, clean, page, settling, subject, symbols
from wheelfuse.auditing.finding import Finding, Severity
from wheelfuse.escape import printable
from wheelfuse.report.page import compact
from wheelfuse.report.page.model import Decline, State, Symbol, SymbolTable, Verdict
from wheelfuse.report.page.parts import cards, line, ways
from wheelfuse.report.page.render import prose, render

HTML = "{http://www.w3.org/1999/xhtml}"
ELEMENTS = frozenset(
    {
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "svg",
        "symbol",
        "circle",
        "path",
        "rect",
        "use",
        "text",
        "polyline",
        "g",
        "a",
        "div",
        "nav",
        "ul",
        "ol",
        "li",
        "button",
        "main",
        "header",
        "footer",
        "section",
        "article",
        "figure",
        "figcaption",
        "h1",
        "h2",
        "h3",
        "h4",
        "p",
        "span",
        "strong",
        "code",
        "pre",
        "br",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "dl",
        "dt",
        "dd",
        "details",
        "summary",
        "label",
        "fieldset",
        "legend",
        "input",
        "select",
        "option",
        "optgroup",
        "script",
    }
)
"""What the templates use; anything else came from a name."""


@cache
def rendered(name: str) -> str:
    return render(SAMPLES[name]())


@cache
def parsed(name: str) -> Element:
    """The document as a browser reads it; errors of the parser are raised."""
    return html5lib.HTMLParser(strict=True).parse(rendered(name))  # type: ignore[no-any-return]


def tag(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def elements(name: str) -> list[Element]:
    return [element for element in parsed(name).iter() if isinstance(element.tag, str)]


def text(element: Element) -> str:
    return "".join(element.itertext())


def data(name: str, key: str) -> Any:
    script = next(element for element in elements(name) if element.get("id") == key)
    return json.loads(text(script))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_page_is_valid_html_with_unique_ids(name: str) -> None:
    ids = Counter(element.get("id") for element in elements(name) if element.get("id"))
    assert [key for key, number in ids.items() if number > 1] == []
    assert not [key for key in ids if not re.fullmatch(r"[A-Za-z][\w-]*", str(key))]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_reference_leads_to_a_place_in_the_page(name: str) -> None:
    ids = {element.get("id") for element in elements(name)}
    for element in elements(name):
        for key, value in element.attrib.items():
            if key in ("aria-labelledby", "aria-describedby", "for"):
                assert set(value.split()) <= ids
            elif key.rpartition("}")[2] in ("href", "src", "action", "srcset"):
                assert value == "data:," or (value.startswith("#") and value[1:] in ids)


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_in_a_page_is_loaded_or_run_but_what_the_policy_names(name: str) -> None:
    found = elements(name)
    assert {tag(element) for element in found} <= ELEMENTS
    assert not [key for element in found for key in element.attrib if key.startswith("on") or key == "style"]
    policy = next(element.get("content") or "" for element in found if element.get("http-equiv"))
    assert policy.startswith("default-src 'none'; ")
    for kind, element_name in (("style", "style"), ("script", "script")):
        (inline,) = (one for one in found if tag(one) == element_name and one.get("type") is None)
        digest = base64.b64encode(hashlib.sha256(text(inline).encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert "url(" not in text(next(element for element in found if tag(element) == "style"))


def test_names_that_carry_markup_are_text() -> None:
    shown = text(parsed("nasty"))
    for name in NASTY:
        assert printable(name) in shown
    assert "<img src=x" not in rendered("nasty")
    assert "</script><script>document" not in rendered("nasty")


def test_no_control_or_invisible_character_of_a_name_reaches_the_page() -> None:
    for name in SAMPLES:
        assert [
            character for character in rendered(name) if not character.isprintable() and character != "\n"
        ] == []
        rendered(name).encode("utf-8")


def test_names_come_through_json_as_they_are_shown() -> None:
    table = data("nasty", "symbol-data")
    assert {printable(name) for name in NASTY} <= set(table["texts"])
    assert {printable(name) for name in NASTY} <= set(data("nasty", "member-data")["texts"])
    assert data("nasty", "map-data")[0]["names"][0] == MARKUP


@pytest.mark.parametrize("value", ["</script>", "<!--", "]]>", "\u2028", "&lt;", "<script", "\udcff"])
def test_json_ends_no_element(value: str) -> None:
    made = compact.json_text([value])
    assert not set(made) & set("<>&\u2028\udcff")
    assert json.loads(made) == [value]


def test_symbols_that_several_files_need_are_written_once() -> None:
    tables = [SymbolTable(f"{number}.so", (), symbols(100)) for number in range(50)]
    table = compact.symbols(tables)
    assert len(table.columns[0]) == 100
    assert len(table.choices) == 50
    names = [table.texts[number] for number in table.columns[0]]
    assert [names[row] for row in table.choices[7]] == [symbol.name for symbol in tables[7].symbols]
    assert len(table.as_json()) < 40_000


def test_each_column_of_symbols_says_what_the_symbol_is() -> None:
    symbol = Symbol("_Z1fv", "f()", "C++", "V_1", State.PARTLY, "a note", "g()")
    table = compact.symbols([SymbolTable("a.so", (), (symbol,))])
    texts = [column[0] if at == 4 else table.texts[column[0]] for at, column in enumerate(table.columns)]
    assert texts == ["_Z1fv", "f()", "C++", "V_1", list(State).index(State.PARTLY), "a note", "g()"]


def test_the_first_thing_read_is_the_verdict() -> None:
    main = next(element for element in elements("failing") if tag(element) == "main")
    headings = [element for element in main.iter() if tag(element) in ("h1", "h2", "h3")]
    assert tag(headings[0]) == "h1"
    assert text(headings[0]).startswith("Loads on CPython 3.10 and 3.11; fails on 3.12")


@pytest.mark.parametrize("name", SAMPLES)
def test_headings_go_down_a_step_at_a_time(name: str) -> None:
    levels = [int(tag(element)[1]) for element in elements(name) if re.fullmatch("h[1-6]", tag(element))]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("name", SAMPLES)
def test_tables_have_captions_and_their_headings_scopes(name: str) -> None:
    for table in (element for element in elements(name) if tag(element) == "table"):
        captions = table.findall(f"{HTML}caption")
        assert [bool(text(caption).strip()) for caption in captions] == [True]
        assert all(heading.get("scope") for heading in table.iter(f"{HTML}th"))


def test_the_matrix_says_in_words_what_its_signs_say() -> None:
    rows = [element for element in elements("failing") if tag(element) == "tr"]
    row = next(row for row in rows if text(row).strip().startswith("vllm._C"))
    words = [text(cell).strip() for cell in row.iter(f"{HTML}td")]
    assert words == ["loads", "loads", "fails to load", "loads", "loads", "loads", "loads"]
    uses = [
        use.get("{http://www.w3.org/1999/xlink}href") or use.get("href")
        for use in row.iter("{http://www.w3.org/2000/svg}use")
    ]
    assert uses == [
        f"#glyph-{state}" for state in ("loads", "loads", "fails", "loads", "loads", "loads", "loads")
    ]


def test_builds_without_the_gil_stand_apart() -> None:
    table = next(element for element in elements("failing") if element.get("class") == "matrix")
    above, below = table.findall(f"{HTML}thead/{HTML}tr")
    assert [(text(cell), cell.get("colspan")) for cell in above][1:] == [
        ("CPython", "5"),
        ("free-threaded", "2"),
    ]
    assert [text(cell).strip() for cell in below] == [
        "3.10",
        "3.11",
        "3.12",
        "3.13",
        "3.14",
        "3.13t",
        "3.14t",
    ]


def test_all_findings_are_there_without_a_script() -> None:
    items = [element for element in elements("failing") if element.get("class", "").startswith("card ")]
    given = SAMPLES["failing"]().findings
    shown = " ".join(text(item) for item in items)
    assert all(finding.message in shown and finding.path in shown for _, finding in given)
    assert len(items) == len({(label, finding.code, finding.message) for label, finding in given})


def finding(message: str, path: str = "", code: str = "WF203", **more: Any) -> Finding:
    return Finding(code, Severity.ERROR, message, path, **more)


def test_the_anchor_of_a_finding_stays_when_others_come_or_the_file_name_of_the_wheel_changes() -> None:
    (alone,) = cards([("pkg-1.0.whl", finding("a", "x.so"))])
    among = cards(
        [
            ("pkg-1.1.whl", finding("b", "y.so")),
            ("pkg-1.1.whl", finding("a", "x.so")),
            ("pkg-1.1.whl", finding("a", "z.so")),
        ]
    )
    assert alone.anchor == among[1].anchor
    assert re.fullmatch(r"WF203-[0-9a-f]{8}", alone.anchor)
    assert among[1].paths == ("x.so", "z.so")


def test_equal_findings_of_several_inputs_have_anchors_of_their_own() -> None:
    one, two = cards([("a.whl", finding("m")), ("b.whl", finding("m"))])
    assert two.anchor == f"{one.anchor}-2"


def test_a_conflict_has_a_way_for_each_strategy_and_conflicts_with_many_lines_have_one() -> None:
    one, many, _ = settling()
    assert [(words[0][0], lines) for words, lines in ways(one)] == [
        ("newest", ("--resolve 'vllm/build info.txt=newest'",)),
        ("drop", ("--resolve 'vllm/build info.txt=drop'",)),
    ]
    assert ways(many) == ((many.meanings, many.lines),)


def test_each_line_that_settles_a_conflict_is_in_the_page() -> None:
    shown = [
        line
        for element in elements("refused")
        if tag(element) == "pre"
        for line in text(element).splitlines()
    ]
    assert {line for group in settling() for line in group.lines} <= set(shown)


def test_a_line_over_baselines_falls_to_the_bottom_at_zero() -> None:
    points = line(Decline((("a", 100), ("b", 50), ("now", 0)))).points
    heights = [y for _, y, *_ in points]
    assert heights == sorted(heights)
    assert heights[1] == (heights[0] + heights[2]) / 2
    assert [x for x, *_ in points] == sorted(x for x, *_ in points)


@pytest.mark.parametrize(
    "points", [(), (("now", 0),), (("a", 0), ("now", 0)), tuple((f"v{n}", n) for n in range(40))]
)
def test_any_number_of_baselines_can_be_drawn(points: tuple[tuple[str, int], ...]) -> None:
    made = render(page(Verdict(State.GOOD, "x"), (subject(),), decline=Decline(points)))
    html5lib.HTMLParser(strict=True).parse(made)
    assert sum(named for *_, named in line(Decline(points)).points) <= 7


def test_an_explanation_keeps_its_paragraphs_lists_and_examples() -> None:
    found = list(prose("One\ntwo.\n\n- a\n- b\n  c\n\n    $ run\n      more\n\nLast."))
    assert found == [
        ("p", ("One two.",)),
        ("ul", ("a", "b c")),
        ("pre", ("    $ run", "      more")),
        ("p", ("Last.",)),
    ]


def test_equal_pages_are_equal_byte_by_byte() -> None:
    assert render(clean()) == render(clean())


def test_a_page_of_one_wheel_is_small() -> None:
    assert len(rendered("clean").encode()) < 100_000
