"""``python -m fuzz [TARGET…]``: try inputs for a time, or a number of them, and keep count.

Examples:
    python -m fuzz --seconds 60                 each target for a minute
    python -m fuzz --inputs 1000000 --seed 7    so many inputs over all targets, by their shares
    python -m fuzz --guided --seconds 60        the targets that coverage leads (atheris)
    python -m fuzz --replay archive:7:1234      one input again, with its traceback
    python -m fuzz --save archive:7:1234        keep one in the corpus, as small as it fails
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from fuzz import corpus, guided, result
from fuzz.target import Target
from fuzz.targets import TARGETS
from fuzz.targets.wheels import KEPT, install_kept
from fuzz.worker import Tally, attempt, run_portion

RESULTS = Path(__file__).with_name("results")
_PORTIONS = 200
"""How many processes a large run takes for each target at least."""
_LARGEST = 5000
_EVERY = 30
"""Seconds between two records of what was counted so far."""


def main() -> int:
    options = _options()
    targets = [TARGETS[name] for name in options.targets] or list(TARGETS.values())
    if options.replay or options.save:
        return _again(options.replay or options.save, save=bool(options.save))
    run = _Run(options.seed, options.results, options.first)
    if options.keep:
        os.environ[KEPT] = str(options.keep.resolve())
    if options.install:
        _install(run, options.install, options.seconds or 60)
    elif options.guided:
        for target in targets:
            if target.guided:
                run.count(target, guided.run(target, options.seconds or 60, options.seed))
    elif options.inputs:
        _by_number(run, targets, options.inputs)
    else:
        for target in targets:
            _by_time(run, target, options.seconds or 60)
    run.record()
    print(result.table(run.document(), TARGETS))
    for failure in run.failures():
        print(
            f"{failure.kind}: {failure.target}:{failure.seed}:{failure.number} {failure.where}\n"
            f"    {failure.what[:300]}"
        )
    return 1 if run.failures() else 0


class _Run:
    """One run: what it counted so far, and the document that it is added to."""

    def __init__(self, seed: int, path: Path, first: int) -> None:
        self.seed = seed
        self.path = path
        self.first = first
        self.tallies: dict[str, Tally] = {}
        self._base = result.load(path)
        self._recorded = self._began = time.monotonic()
        self._date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")

    def count(self, target: Target, tally: Tally) -> None:
        for failure in tally.failures:
            if failure.where not in {known.where for known in self.failures()}:
                print(
                    f"{failure.kind}: {failure.target}:{failure.seed}:{failure.number} {failure.what[:200]}",
                    flush=True,
                )
        self.tallies.setdefault(target.name, Tally()).add(tally)
        if time.monotonic() - self._recorded > _EVERY:
            self.record()

    def failures(self) -> list[corpus.Failure]:
        return [failure for tally in self.tallies.values() for failure in tally.failures]

    def document(self) -> dict[str, object]:
        import copy

        document = copy.deepcopy(self._base)
        about = {
            "date": self._date, "seed": self.seed, "first": self.first,
            "seconds": round(time.monotonic() - self._began),
            "python": platform.python_version(), "hypothesis": version("hypothesis"), "source": source_digest(),
        }  # fmt: skip
        result.add(document, about, self.tallies)
        return document

    def record(self) -> None:
        self._recorded = time.monotonic()
        result.save(self.path, self.document())
        self.path.with_suffix(".md").write_text(result.table(self.document(), TARGETS), encoding="utf-8")


def source_digest() -> str:
    """What was tried and by what: a digest of the sources of wheelfuse and of this package, in hexadecimal."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted((*root.glob("wheelfuse/**/*.py"), *root.glob("fuzz/**/*.py"))):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _by_number(run: _Run, targets: Sequence[Target], inputs: int) -> None:
    """Portions of all targets in turns, so that a run that is stopped has tried some of each."""
    shares = sum(target.share for target in targets)
    ends = {target.name: -(-inputs * target.share // shares) for target in targets}
    done = dict.fromkeys(ends, 0)
    while any(done[name] < ends[name] for name in ends):
        for target in targets:
            name = target.name
            size = min(max(ends[name] // _PORTIONS, 10), _LARGEST)
            for start, stop in _portions(done[name], min(done[name] + size, ends[name])):
                tally, left = run_portion(target, run.seed, range(run.first + start, run.first + stop))
                run.count(target, _completed(run, target, tally, left, run.first + stop))
                done[name] = stop


def _portions(start: int, stop: int) -> Iterator[tuple[int, int]]:
    if start < stop:
        yield start, stop


def _completed(run: _Run, target: Target, tally: Tally, left: int, stop: int) -> Tally:
    """What is left of a portion after a process died is tried by further ones."""
    while left < stop:
        more, left = run_portion(target, run.seed, range(left, stop))
        tally.add(more)
    return tally


def _by_time(run: _Run, target: Target, seconds: float) -> None:
    end, number, size = time.monotonic() + seconds, run.first, 20
    while time.monotonic() < end:
        start = time.monotonic()
        tally, number = run_portion(target, run.seed, range(number, number + size))
        run.count(target, tally)
        pace = (time.monotonic() - start) / size
        size = max(1, min(_LARGEST, int(min(end - time.monotonic(), 10) / pace)))


def _install(run: _Run, directory: Path, seconds: float) -> None:
    """Install the outputs of merges that were kept, for so long."""
    end = time.monotonic() + seconds
    for name, wrong in install_kept(directory):
        if wrong:
            failure = corpus.Failure("merge", run.seed, -1, "wrong", f"{name}: {wrong}", wrong[:80])
            run.count(TARGETS["merge"], Tally(Counter(wrong=1), failures=[failure]))
        else:
            run.count(TARGETS["merge"], Tally(Counter(installed=1)))
        if time.monotonic() > end:
            return


def _again(text: str, *, save: bool) -> int:
    """Try one input again in this process, without limits; or keep it."""
    target, data = corpus.input_of(text)
    print(f"{len(data)} bytes")
    if save:
        print(corpus.save(target, data, corpus.fails_like(target, data)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        print(attempt(target, data, Path(name)))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"only these: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, help="how long each target is tried (default: 60)")
    parser.add_argument(
        "--inputs", type=int, help="how many inputs are tried over the targets, by their shares"
    )
    parser.add_argument("--seed", type=int, default=0, help="which inputs are drawn (default: 0)")
    parser.add_argument(
        "--first", type=int, default=0, help="the number of the first input of each target (default: 0)"
    )
    parser.add_argument(
        "--guided", action="store_true", help="let atheris look for inputs that reach other code"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep outputs of merges there, for installers to try"
    )
    parser.add_argument(
        "--install", type=Path, metavar="DIR", help="install what was kept with installer, pip and uv"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "latest.json", help="what the counts are added to"
    )
    parser.add_argument(
        "--replay",
        metavar="TARGET:SEED:NUMBER",
        help="try one input again; also the path of a file of the corpus",
    )
    parser.add_argument(
        "--save", metavar="TARGET:SEED:NUMBER", help="keep one input that fails in the corpus, made small"
    )
    options = parser.parse_args()
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
