"""``python -m bench [CASE…]``: wheelfuse beside its peers, on pinned and generated inputs; keeps the results."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import compare, machine, tables
from bench.cases import CASES, Case
from bench.cases.bench import Bench
from bench.measure import RunFailed, progress
from bench.programs import ROOT
from bench.result import Entry, Report, from_json, to_json, updated

RESULTS = Path(__file__).with_name("results")
LATEST = RESULTS / "latest.json"
README = ROOT / "README.md"


def main() -> int:
    options = _options()
    if options.list:
        for case in CASES.values():
            print(f"{case.name}\n    {case.about}")
        return 0
    chosen = [CASES[name] for name in options.cases] or list(CASES.values())
    if not options.draw:
        try:
            _measure(chosen, options.times, options.directory)
        except RunFailed as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    report = from_json(json.loads(LATEST.read_text(encoding="utf-8")))
    _publish(report)
    print(tables.targets(report))
    return _compare(report, check=options.check)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"only these: {', '.join(CASES)}")
    parser.add_argument(
        "--times", type=int, metavar="N", help="rounds of each case, in place of its own number"
    )
    parser.add_argument(
        "--directory", type=Path, help="where temporary files go, 6 GB (default: TMPDIR, or /tmp)"
    )
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if a ratio became worse by more than 15 %%"
    )
    parser.add_argument(
        "--draw", action="store_true", help="measure nothing, write tables and plots of latest.json"
    )
    parser.add_argument("--list", action="store_true", help="say what each case measures")
    options = parser.parse_args()
    if unknown := [name for name in options.cases if name not in CASES]:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    if options.times is not None and options.times < 1:
        parser.error("--times must be at least 1")
    return options


def _measure(cases: Sequence[Case], times: int | None, parent: Path | None) -> None:
    """Run cases, each in a directory of its own that is removed after it, and keep the result of each at once."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent) as name:
        session = machine.session(Path(name))
        for number, case in enumerate(cases, 1):
            progress(f"[{number}/{len(cases)}] {case.name}")
            with tempfile.TemporaryDirectory(dir=name) as place:
                result = case.run(Bench(Path(place), Path(name), times or case.rounds))
            last = from_json(json.loads(LATEST.read_text(encoding="utf-8"))) if LATEST.exists() else None
            entry = Entry(case.name, case.title, session["date"], result)
            document = to_json(updated(last, [entry], session, list(CASES)))
            RESULTS.mkdir(exist_ok=True)
            LATEST.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _publish(report: Report) -> None:
    """Write the tables and plots of a report: beside it, and into the README."""
    from bench import plots  # matplotlib is slow to import, and not needed before

    about = {case.name: case.about for case in CASES.values()}
    (RESULTS / "latest.md").write_text(tables.whole(report, about), encoding="utf-8")
    plots.draw(report, RESULTS)
    text = README.read_text(encoding="utf-8")
    README.write_text(tables.placed(text, tables.brief(report)), encoding="utf-8")


def _compare(report: Report, *, check: bool) -> int:
    """Say what changed since the last commit; returns the exit code."""
    if not (before := compare.committed()):
        print("There is no committed result to compare with.")
        return 0
    found = list(compare.changes(before, report))
    print("\n".join(map(str, found)) or "No ratio changed by more than 15 % since the last commit.")
    return int(check and any(change.is_worse for change in found))


if __name__ == "__main__":
    sys.exit(main())
