"""The page in a browser, headless Chromium: what it does when used, and that it stays readable for everybody."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.real.download import fetched
from tests.report.page.pages import audited
from tests.report.page.samples import SAMPLES, settling
from wheelfuse.report.page.parts import cards
from wheelfuse.report.page.render import render

WIDTHS = (360, 800, 1440)
SCHEMES = ("light", "dark")
PLAIN = ("clean", "failing", "fused", "refused", "several", "nasty", "empty")
"""The samples but that with 50,000 symbols."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; these tests fail without it."""
    program = shutil.which("chromium")
    assert program, "chromium is not installed: apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The samples as files."""
    directory = tmp_path_factory.mktemp("pages")
    files = {name: directory / f"{name}.html" for name in SAMPLES}
    for name, path in files.items():
        path.write_text(render(SAMPLES[name]()), encoding="utf-8")
    return files


class Opener:
    """Opens samples offline, and takes down whatever goes wrong in them."""

    def __init__(self, browser: Browser, pages: dict[str, Path]) -> None:
        self.browser, self.pages = browser, pages

    @contextmanager
    def __call__(self, name: str, *, anchor: str = "", width: int = 1440, **context: Any) -> Iterator[Page]:
        with self.browser.new_context(
            viewport={"width": width, "height": 900}, offline=True, **context
        ) as made:
            page = made.new_page()
            page.set_default_timeout(10_000)
            wrong: list[str] = []
            page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
            address = f"{self.pages[name].as_uri()}{anchor}"
            page.on(
                "request",
                lambda request: wrong.append(request.url) if is_foreign(request.url, address) else None,
            )
            page.goto(address)
            yield page
            assert wrong == []


def is_foreign(url: str, page: str) -> bool:
    """Whether this is asked for beside the page itself; its empty icon is in it."""
    return url.partition("#")[0] != page.partition("#")[0] and not url.startswith("data:")


@pytest.fixture
def opened(browser: Browser, pages: dict[str, Path]) -> Opener:
    return Opener(browser, pages)


def shown(page: Page) -> Locator:
    return page.locator(".card:visible")


def severities(page: Page) -> list[str]:
    return page.eval_on_selector_all(
        ".card", "cards => cards.filter(c => !c.hidden).map(c => c.dataset.severity)"
    )  # type: ignore[no-any-return]


# --- for everybody ---


@pytest.mark.parametrize("name", PLAIN)
def test_axe_finds_nothing_in_either_scheme(opened: Opener, name: str) -> None:
    # axe is not of the page: its policy would keep it out.
    with opened(name, color_scheme="light", bypass_csp=True) as page:
        for block in page.locator(".paged").all():
            block.scroll_into_view_if_needed()
        found = violations(page)
        page.emulate_media(color_scheme="dark")
        found += violations(page, {"runOnly": ["color-contrast"]})
    assert found == []


def violations(page: Page, rules: dict[str, list[str]] | None = None) -> list[tuple[str, list[str]]]:
    """What axe-core finds, by its rule: the first elements."""
    response = Axe().run(page, options={"resultTypes": ["violations"], **(rules or {})}).response
    return [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in response["violations"]]


@pytest.mark.parametrize("name", PLAIN)
def test_at_no_width_does_the_page_scroll_sideways(opened: Opener, name: str) -> None:
    with opened(name) as page:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_a_script_all_but_the_symbols_is_there(opened: Opener) -> None:
    with opened("failing", java_script_enabled=False) as page:
        expect(page.get_by_role("heading", level=1)).to_contain_text("fails on 3.12")
        assert page.locator(".card").count() == len(cards(SAMPLES["failing"]().findings))
        expect(page.locator(".treemap text", has_text=".nv_fatbin").first).to_be_visible()
        expect(page.locator("#theme")).to_be_hidden()
        expect(page.locator("#findings .controls")).to_be_hidden()
        expect(page.locator("[data-kind=symbols]")).to_be_hidden()
        expect(page.get_by_text("vllm/cumem.abi3.so").last).to_be_visible()


def test_the_first_screen_answers(opened: Opener) -> None:
    with opened("failing") as page:
        for place in (".verdict h1", ".matrix", ".legend", ".scales >> nth=0"):
            box = page.locator(place).bounding_box()
            assert box and box["y"] + box["height"] <= 900, place
        for title in ("torch", "C library", "GPUs"):
            expect(page.get_by_role("heading", name=title, exact=True)).to_be_in_viewport()


def test_the_keyboard_reaches_the_report_first(opened: Opener) -> None:
    with opened("failing") as page:
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the report")
        expect(skip).to_be_focused()
        expect(skip).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()


def test_what_has_the_focus_is_marked(opened: Opener) -> None:
    with opened("failing") as page:
        for _ in range(12):
            page.keyboard.press("Tab")
            style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            box = page.evaluate("!!document.activeElement.dataset.node")
            assert style != "none" or box


def test_on_paper_all_is_unfolded_and_nothing_is_to_press(opened: Opener) -> None:
    with opened("failing", color_scheme="dark") as page:
        page.emulate_media(media="print")
        expect(page.locator(".bar")).to_be_hidden()
        expect(page.locator("#findings .controls")).to_be_hidden()
        assert page.locator("button:visible").count() == 0
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        for card in page.locator(".card").all():
            body = card.locator(".body").bounding_box()
            assert body and body["height"] > 20
        for explanation in page.locator(".rule .prose").all():
            box = explanation.bounding_box()
            assert box and box["height"] > 20


# --- theme ---


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_of_the_system_is_taken_until_the_switch_is_used(opened: Opener, scheme: str) -> None:
    colours = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}
    other = {"light": "dark", "dark": "light"}[scheme]
    background = "getComputedStyle(document.body).backgroundColor"
    with opened("clean", color_scheme=scheme) as page:
        switch = page.get_by_role("button", name="Dark theme")
        assert page.evaluate(background) == colours[scheme]
        expect(switch).to_have_attribute("aria-pressed", json.dumps(scheme == "dark"))
        switch.click()
        assert page.evaluate(background) == colours[other]
        expect(switch).to_have_attribute("aria-pressed", json.dumps(other == "dark"))
        page.reload()
        assert page.evaluate(background) == colours[other]


# --- findings ---


def test_findings_are_filtered_by_severity_rule_and_text(opened: Opener) -> None:
    with opened("failing") as page:
        every = shown(page).count()
        page.get_by_label("31 warnings").uncheck()
        assert set(severities(page)) == {"error", "info"}
        page.locator("#finding-rule").select_option("WF203")
        assert page.locator(".card:visible .code").all_inner_texts() == ["WF203", "WF203"]
        page.locator("#finding-text").fill("_m3.cpython")
        assert shown(page).count() == 1
        page.locator("#finding-text").fill("nothing has this")
        expect(page.get_by_text("No finding matches.")).to_be_visible()
        expect(page.locator("#finding-count")).to_have_text("0 of 41 findings")
        page.locator("#finding-text").fill("")
        page.locator("#finding-rule").select_option("")
        page.get_by_label("31 warnings").check()
        assert shown(page).count() == every


def test_a_count_in_the_verdict_leads_to_those_findings(opened: Opener) -> None:
    with opened("failing") as page:
        page.get_by_role("link", name="1 note").click()
        assert severities(page) == ["info"]
        expect(page.get_by_role("heading", name="Findings")).to_be_in_viewport()


def test_findings_are_sorted(opened: Opener) -> None:
    with opened("failing") as page:
        paths = "cards => cards.map(card => card.dataset.path)"
        by_severity = page.eval_on_selector_all(".card", paths)
        page.locator("#finding-sort").select_option("path")
        by_path = page.eval_on_selector_all(".card", paths)
        assert by_path == sorted(by_severity) != by_severity
        page.locator("#finding-sort").select_option("count")
        counts = page.eval_on_selector_all(".card", "cards => cards.map(card => Number(card.dataset.count))")
        assert counts == sorted(counts, reverse=True)
        page.locator("#finding-sort").select_option("severity")
        assert page.eval_on_selector_all(".card", paths) == by_severity


def test_a_link_to_a_finding_opens_and_marks_it(opened: Opener) -> None:
    card = cards(SAMPLES["failing"]().findings)[20]
    with opened("failing", anchor=f"#{card.anchor}") as page:
        found = page.locator(f"[id='{card.anchor}']")
        expect(found).to_be_focused()
        expect(found).to_be_in_viewport()
        expect(found).to_have_class("card is-warning found")
        expect(found.get_by_text("What to do:")).to_be_visible()
        plain = page.locator(".card").nth(25)
        assert found.evaluate("e => getComputedStyle(e).backgroundColor") != plain.evaluate(
            "e => getComputedStyle(e).backgroundColor"
        )


def test_a_link_finds_what_a_filter_hides(opened: Opener) -> None:
    card = cards(SAMPLES["failing"]().findings)[20]
    with opened("failing") as page:
        page.get_by_label("31 warnings").uncheck()
        page.evaluate("anchor => { location.hash = anchor; }", card.anchor)
        expect(page.locator(f"[id='{card.anchor}']")).to_be_visible()


def test_the_explanation_comes_to_the_finding(opened: Opener) -> None:
    with opened("failing") as page:
        card = page.locator(".card").first
        about = card.get_by_role("button", name="About WF601")
        about.focus()
        page.keyboard.press("Enter")
        expect(card.get_by_text("What it finds: a thing.")).to_be_visible()
        expect(about).to_have_attribute("aria-expanded", "true")
        page.keyboard.press("Space")
        expect(card.get_by_text("What it finds: a thing.")).to_have_count(0)


# --- a merge ---


def test_the_option_that_settles_a_conflict_is_copied(opened: Opener) -> None:
    with opened("refused", permissions=["clipboard-read", "clipboard-write"]) as page:
        page.locator(".copy").first.click()
        expect(page.locator(".copy").first).to_contain_text("Copied")
        expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
        assert page.evaluate("navigator.clipboard.readText()") == settling()[0].lines[0]


def test_without_a_clipboard_the_option_is_selected(opened: Opener) -> None:
    with opened("refused") as page:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        page.locator(".copy").first.click()
        assert page.evaluate("getSelection().toString()").strip() == settling()[0].lines[0]


def test_members_are_searched_filtered_and_sorted(opened: Opener) -> None:
    with opened("fused") as page:
        block = page.locator("[data-kind=members]")
        block.scroll_into_view_if_needed()
        expect(block.locator("[data-shown]")).to_have_text("1 to 50 of 704 members")
        block.get_by_role("button", name="Next").click()
        expect(block.locator("[data-shown]")).to_have_text("51 to 100 of 704 members")
        block.get_by_label("From").select_option(label="cp311")
        assert block.locator("tbody code").all_inner_texts() == ["vllm/_C.cpython-311-x86_64-linux-gnu.so"]
        block.get_by_label("From").select_option("")
        block.get_by_label("How").select_option(label="made by wheelfuse")
        expect(block.locator("tbody tr")).to_have_text(
            ["vllm/version.py was vllm/_version.py800 Bcp310, cp311, cp312made by wheelfuse"]
        )
        block.get_by_label("How").select_option("")
        block.get_by_label("Search").fill("MODEL_01")
        expect(block.locator("[data-shown]")).to_have_text("1 to 10 of 10 members")
        block.get_by_role("button", name="Member", exact=True).click()
        names = block.locator("tbody code").all_inner_texts()
        assert names == sorted(names)
        block.get_by_role("button", name="Size").click()
        block.get_by_role("button", name="Size").click()
        assert block.locator("tbody code").all_inner_texts() == names[::-1]
        expect(block.get_by_role("columnheader", name="Size")).to_have_attribute("aria-sort", "descending")


# --- the map ---


def boxes(page: Page) -> list[str]:
    return page.locator(".treemap [data-node] text").all_text_contents()


def test_the_map_is_zoomed_by_click_and_by_its_crumbs(opened: Opener) -> None:
    with opened("failing") as page:
        whole = boxes(page)
        assert "vllm.libs" in whole
        page.locator(".treemap [data-node]", has_text="vllm.libs").click()
        assert "libshm-7c1e2f00.so" in boxes(page)
        assert "vllm" not in boxes(page)
        expect(page.locator(".crumbs [aria-current]")).to_contain_text("vllm.libs 16.5 MiB")
        page.get_by_role("button", name="wheel", exact=True).click()
        assert boxes(page) == whole


def test_the_map_is_walked_by_keyboard(opened: Opener) -> None:
    with opened("failing") as page:
        focused = "document.activeElement.getAttribute('aria-label')"
        page.locator(".treemap [tabindex='0']").focus()
        assert page.evaluate(focused).startswith("vllm, ")
        page.keyboard.press("Enter")
        here = page.evaluate(focused)
        assert here.startswith("vllm/_C.cpython-312")
        page.keyboard.press("ArrowRight")
        assert page.evaluate(focused) != here
        expect(page.locator("#tip")).to_contain_text("installed")
        page.keyboard.press("Escape")
        assert page.evaluate(focused).startswith("vllm, ")
        assert "vllm.libs" in boxes(page)
        assert page.locator(".treemap [tabindex='0']").count() == 1


def test_the_map_tells_of_a_part_under_the_pointer(opened: Opener) -> None:
    with opened("failing") as page:
        page.locator(".treemap [data-node]", has_text=".nv_fatbin").first.hover()
        expect(page.locator("#tip")).to_contain_text("_C.cpython-312-x86_64-linux-gnu.so/.nv_fatbin")
        expect(page.locator("#tip")).to_contain_text("60.0 MiB installed, 20.7 %")
        expect(page.locator("#tip")).to_contain_text("sm_80, sm_90, compute_90")


def test_the_map_says_what_the_table_beside_it_says(opened: Opener) -> None:
    with opened("failing") as page:
        page.get_by_text("The largest parts as a table").click()
        rows = page.get_by_role("table", name="The 100 largest files").get_by_role("row")
        expect(rows.nth(1)).to_contain_text("vllm/_C.cpython-312-x86_64-linux-gnu.so/.nv_fatbin")
        expect(rows.nth(1)).to_contain_text("60.0 MiB")


# --- symbols ---


def test_the_symbols_of_a_file_are_searched_filtered_and_sorted(opened: Opener) -> None:
    with opened("failing", anchor="#symbols") as page:
        block = page.locator("[data-kind=symbols]")
        expect(block.locator("[data-shown]")).to_have_text("1 to 50 of 900 symbols")
        block.get_by_label("State").select_option("not")
        expect(block.locator("[data-shown]")).to_have_text("1 to 8 of 8 symbols")
        expect(block.locator("tbody tr").first).to_have_text(
            "_Py0_Private badCPython, privategone in 3.13; use PyLimited_0"
        )
        block.get_by_label("State").select_option("")
        block.get_by_label("Group").select_option(label="glibc")
        assert block.locator("tbody code").all_inner_texts() == ["memcpy", "__cxa_thread_atexit_impl"]
        block.get_by_role("button", name="Symbol").click()
        assert block.locator("tbody code").all_inner_texts() == ["__cxa_thread_atexit_impl", "memcpy"]
        block.get_by_label("Group").select_option("")
        block.get_by_label("Search").fill("at::tensor")
        assert block.locator("tbody code").all_inner_texts() == [
            "at::Tensor::symbol()",
            "_ZN2at6Tensor6symbolEv",
        ]
        block.get_by_label("Search").fill("")
        block.get_by_role("combobox", name="File").select_option(label="vllm/cumem.abi3.so (60)")
        expect(block.locator("[data-shown]")).to_have_text("1 to 50 of 60 symbols")


def test_fifty_thousand_symbols_are_drawn_a_page_at_a_time(opened: Opener) -> None:
    with opened("many_symbols", anchor="#symbols") as page:
        block = page.locator("[data-kind=symbols]")
        expect(block.locator("[data-shown]")).to_have_text("1 to 50 of 50,000 symbols")
        assert block.locator("tbody tr").count() == 50
        block.get_by_label("Search").fill("op49")
        expect(block.locator("[data-shown]")).to_have_text("1 to 50 of 989 symbols")
        block.get_by_role("button", name="Symbol").click()
        expect(block.locator("tbody code").first).to_have_text(
            "vllm::kernel::op49000(float const*, float const*, int)"
        )
        block.get_by_label("Search").fill("")
        block.get_by_role("button", name="Next").click()
        expect(block.locator("[data-shown]")).to_have_text("51 to 100 of 50,000 symbols")
        assert block.locator("tbody tr").count() == 50


@pytest.mark.real
def test_the_page_of_a_wheel_with_many_modules_is_small_and_quick_to_use(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "cupy.html"
    path.write_text(render(audited(fetched("projects", "cupy-cuda12x")[0])), encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    with Opener(browser, {"cupy": path})("cupy", anchor="#symbols") as page:
        block = page.locator("[data-kind=symbols]")
        assert block.locator("[data-choice] option").count() == 65
        expect(block.locator("tbody tr").first).to_be_visible()
        block.get_by_label("Search").fill("PyInit_")
        expect(block.locator("tbody tr")).to_have_count(1)


# --- what comes from a wheel ---


def test_names_run_nothing_and_stay_names(opened: Opener) -> None:
    with opened("nasty") as page:
        for block in page.locator(".paged").all():
            block.scroll_into_view_if_needed()
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        page.locator("a[data-explain]").first.click()
        page.locator(".treemap [data-zoom] > text").first.click(force=True)
        page.locator(".treemap [data-node]").first.hover(force=True)
        expect(page.locator("[data-kind=symbols] tbody tr")).to_have_count(9)
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 4
        assert "owned" not in page.title().partition("document.title")[0]


ATTACKS = {
    "a script": "document.createElement('script').textContent = 'window.ran = 1'",
    "markup": "document.body.innerHTML = '<b>window.ran</b>'",
    "a handler": "document.body.setAttribute('onclick', 'window.ran = 1'); document.body.click()",
    "an image": "document.body.append(Object.assign(new Image(), { src: 'https://example.com/x.png' }))",
    "a style": "document.body.setAttribute('style', 'display: none')",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_policy_refuses_what_the_page_did_not_bring(
    browser: Browser, pages: dict[str, Path], attack: str
) -> None:
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        page.goto(pages["clean"].as_uri())
        refused = page.evaluate(
            """attack => new Promise(done => {
                document.addEventListener("securitypolicyviolation", event => done(event.effectiveDirective));
                const script = Function(attack);
                try { script() } catch (error) { if (!(error instanceof TypeError)) throw error }
            })""",
            ATTACKS[attack],
        )
        assert refused == {"an image": "img-src", "a style": "style-src-attr"}.get(
            attack, "require-trusted-types-for"
        )
        assert page.evaluate("window.ran") is None
