"""Fixtures that all tests share, and the account of what a run exercised.

Two environment variables make a run strict, so that it cannot pass by leaving out what it should do:

``WHEELFUSE_REQUIRE_TARGETS``
    targets, separated by blanks: the run fails if no test that passed made an environment for one of them
``WHEELFUSE_NO_SKIPS``
    if 1, the run fails if any test was skipped
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.abi.symbols import known_until
from tests.interpreters import available, take_exercised, version
from wheelfuse.target import Target


@pytest.fixture(scope="session")
def interpreters() -> dict[Target, Path]:
    """The interpreter to use for each target found on this machine, in the order of the targets."""
    return available()


@pytest.fixture
def known_until_3_15(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For what a test says of the newest CPython: it stays true when a later one joins the tables."""
    with known_until(15, tmp_path_factory.mktemp("tables")):
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> None:
    """Note in the report of a test, which xdist carries on, for which targets it made environments."""
    item.user_properties += [("exercised", str(target)) for target in sorted(take_exercised())]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """End with what was exercised and what could not run, and let a strict run fail that left something out.

    Under xdist the controller does so: it has the reports of all workers.
    """
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    exercised = exercised_targets(reporter.stats.get("passed", []))
    skipped = skip_reasons(reporter.stats.get("skipped", []))
    for line in account(exercised, skipped):
        reporter.write_line(line)
    for shortfall in shortfalls(exercised, skipped):
        reporter.write_line(f"FAILED: {shortfall}", red=True)
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the sizes of the real wheels that were fused, and how verdicts and truth agree; here, since xdist's
    controller loads no other conftest."""
    passed = terminalreporter.stats.get("passed", [])
    cells = Counter[str]()
    for report in (*passed, *terminalreporter.stats.get("failed", [])):
        cells.update(dict(value for name, value in report.user_properties if name == "loading"))
    if cells:
        terminalreporter.section("will it load: verdict -> what the CPythons at hand did, by kind of wheel")
        for kind, count in sorted(cells.items()):
            terminalreporter.write_line(f"{kind:52} {count:6}")
    lines = [value for report in passed for name, value in report.user_properties if name == "fused"]
    if lines:
        terminalreporter.section("fused wheels: inputs -> output, ratio, targets")
        for line in sorted(set(lines)):
            terminalreporter.write_line(line)


def exercised_targets(passed: list[pytest.TestReport]) -> set[Target]:
    """The targets for which the tests that passed made environments."""
    properties = [entry for report in passed for entry in getattr(report, "user_properties", ())]
    return {Target.parse(str(value)) for name, value in properties if name == "exercised"}


def skip_reasons(skipped: list[pytest.TestReport | pytest.CollectReport]) -> Counter[str]:
    """How many tests or modules were skipped for each reason."""
    texts = (
        report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr for report in skipped
    )
    return Counter(str(text).removeprefix("Skipped: ") for text in texts)


def account(exercised: set[Target], skipped: Counter[str]) -> list[str]:
    """What the run did and what it could not do, in words."""
    names = [f"{target} ({version(target)})" for target in sorted(exercised)]
    lines = [f"Could not run: {reason} ({count}x)" for reason, count in sorted(skipped.items())]
    if len(available()) == 1:
        lines.append("Only one CPython was found on this machine: wheels were installed on this one alone.")
    return [*lines, f"CPythons that wheels were installed on: {', '.join(names) or 'none'}"]


def shortfalls(exercised: set[Target], skipped: Counter[str]) -> list[str]:
    """Why a strict run must fail; empty if it need not."""
    required = {Target.parse(tag) for tag in os.environ.get("WHEELFUSE_REQUIRE_TARGETS", "").split()}
    found = [f"{target} was not exercised, but is required" for target in sorted(required - exercised)]
    if os.environ.get("WHEELFUSE_NO_SKIPS") == "1" and skipped:
        found.append(f"{skipped.total()} skipped, but WHEELFUSE_NO_SKIPS allows none")
    return found
