"""Kills merges at random instants, and lets every single call of the system fail: ``python -m tools.faults --help``.

What it found is in docs/explanation/reliability.md. The tests in tests/faults do the same, shorter.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.injection import READING, WRITING
from tests.faults.kills import Killing, Tally
from tests.faults.test_every_call import SCENARIOS, Trial, failures, make_inputs


def main() -> int:
    """Do what is asked for; 1 if anything was found that must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "wheels", nargs="*", type=Path, help="directories with the wheels of one release each"
    )
    parser.add_argument(
        "--kills", type=int, default=0, metavar="N", help="how many merges to kill, over all releases"
    )
    parser.add_argument("--seed", type=int, default=1, help="what instants and signals are drawn with")
    parser.add_argument("--jobs", type=int, default=1, help="how many releases at a time")
    parser.add_argument("--calls", action="store_true", help="let each call of each command fail in turn")
    options = parser.parse_args()
    if options.kills and not options.wheels:
        parser.error("--kills needs wheels to merge")
    found = [] if not options.kills else kill(options.wheels, options.kills, options.seed, options.jobs)
    if options.calls:
        found += fail_calls()
    print("\n".join(found) or "nothing was found that must not be")
    return 1 if found else 0


def kill(releases: Sequence[Path], kills: int, seed: int, jobs: int) -> list[str]:
    """Kill merges of each release, as often of one as of another; what must not be."""
    begun, total = time.monotonic(), Tally()
    shares = [kills // len(releases) + (number < kills % len(releases)) for number in range(len(releases))]

    def one(number: int) -> Tally:
        with tempfile.TemporaryDirectory() as directory:
            wheels = sorted(releases[number].glob("*.whl"))
            return Killing(wheels, Path(directory, "place")).run(shares[number], seed + number)

    with ThreadPoolExecutor(jobs) as pool:
        for release, tally in zip(releases, pool.map(one, range(len(releases))), strict=True):
            print(f"{release.name}: {tally.kills} kills, {dict(tally.outputs)}")
            total.add(tally)
    print(
        f"{total.kills} kills with seed {seed} in {time.monotonic() - begun:.0f} s: {dict(total.by_signal)}"
    )
    print(f"aimed, once the output was begun: {total.while_writing}")
    print(f"found then: {dict(total.outputs)}; Python was starting: {total.interpreter_starting}")
    print(f"partial or lost outputs: {len(total.partial_outputs)}")
    print(f"temporary files left: {total.left_by_sigkill} times by SIGKILL, {len(total.left_by_others)} by others; "
          f"not removed by the next run: {len(total.not_cleaned_up)}")  # fmt: skip
    print(f"wrong exit statuses: {len(total.wrong_exits)}; tracebacks: {len(total.tracebacks)}")
    return total.failures


def fail_calls() -> list[str]:
    """Let each call fail, once and from then on: with contents in memory, and all that writes also with contents in
    temporary files."""
    found, total = [], Counter[str]()
    with tempfile.TemporaryDirectory() as directory:
        inputs = make_inputs(Path(directory, "inputs"))
        for number, (name, scenario) in enumerate(SCENARIOS.items()):
            for in_memory, names in ((1 << 20, (*WRITING, *READING)), (100, (*WRITING, "open"))):
                for onwards in (False, True):
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setattr("wheelfuse.content.IN_MEMORY", in_memory)
                        patch.setattr(os, "sched_getaffinity", lambda _: {0})
                        place = Path(directory, f"{number}-{in_memory}-{onwards}")
                        place.mkdir()
                        for given in ("in", "fused"):
                            (place / given).symlink_to(inputs / given)
                        failed = Counter[str]()
                        try:
                            trial = Trial(scenario, place, patch)
                            failed.update(failures(trial, names, onwards=onwards))
                        except AssertionError as error:
                            found.append(f"{name}, call {failed.total()} ({in_memory=}, {onwards=}): {error}")
                        total += failed
            print(f"{name}: {total.total()} failures so far")
    print(f"{total.total()} failures of single calls: {dict(total.most_common())}")
    return found


if __name__ == "__main__":
    sys.exit(main())
