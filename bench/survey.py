"""``python -m bench.survey``: surveys of real and generated wheels by a web server; keeps the results.

The real wheels are those of tests/real/survey.toml (4 GB, which pip fetches first; ``--ci`` takes as many as CI),
the others are made by tests/surveying/generated.py. The server is a process of its own on this machine, and counts what
it sends. Surveys are whole programs, whose processes are looked at ten times a second.

``python -m bench.survey --equal`` measures nothing: it holds what a survey reads of each wheel against what zipfile,
pyelftools and ``wheelfuse audit`` read of the whole file, and exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

from bench import machine, programs, tables
from bench.figures import growth_exponent
from bench.measure import RunFailed, progress, remove
from bench.result import Figure
from tests.real.download import brought, surveyed
from tests.surveying.generated import generate
from tests.surveying.server import serving

RESULTS = Path(__file__).with_name("results")
JSON, MARKDOWN = RESULTS / "survey.json", RESULTS / "survey.md"
SCHEMA = "wheelfuse-bench-survey/1"
LATENCY = 0.05
"""Seconds until an answer begins, where there is latency: a server on the same continent."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
GROWTH = (1, 2, 4, 8)
"""The number of generated wheels is divided by the last of these, and multiplied by each."""
ROUNDS = 3
"""How often each survey is done, one after the other in turns; odd, so that one of them is in the middle."""
BURNT = "total = 0\nfor number in range(60_000_000): total += number"
"""A program that computes, and asks nothing of memory, disk or network."""
PAUSE = 0.1
PAGE = os.sysconf("SC_PAGE_SIZE")


# --- what is served ---


@dataclass(frozen=True)
class Served:
    """A server in a process of its own."""

    url: str
    pipe: Connection

    def counts(self) -> tuple[int, int]:
        """Requests for wheels since the last call, and bytes of the answers to them."""
        self.pipe.send("counts")
        requests, sent = self.pipe.recv()
        return requests, sent


def _serve(directory: Path, latency: float, pipe: Connection) -> None:
    with serving(directory, latency) as server:
        pipe.send(server.url)
        while pipe.recv() == "counts":
            counted = (server.requests, server.sent)
            pipe.send(tuple(sum(n for path, n in c.items() if path.endswith(".whl")) for c in counted))
            server.reset()


@contextmanager
def served(directory: Path, latency: float = 0.0) -> Iterator[Served]:
    """Serve *directory*."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(directory, latency, theirs), daemon=True)
    process.start()
    try:
        yield Served(ours.recv(), ours)
    finally:
        ours.send("end")
        process.join()


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, int]]:
    """A Dask cluster on this machine, of processes with one thread each: the address of its scheduler, and the process
    whose children they are."""
    script = (
        "import sys; from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        f"    with LocalCluster(n_workers={workers}, threads_per_worker=1, dashboard_address=None) as cluster:\n"
        "        print(cluster.scheduler_address, flush=True); sys.stdin.read()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(programs.ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdin and process.stdout
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.stdin.close()
        process.wait()


# --- one survey ---


@dataclass(frozen=True)
class Look:
    """The resident sets of the processes at one time, in bytes: the client's, and the largest of the workers'."""

    second: float
    client: int
    worker: int


@dataclass(frozen=True)
class Survey:
    """One survey: what it was, what it took, and what the server counted. Bytes are those of bodies."""

    name: str
    wheels: int
    seconds: float
    requests: int
    sent: int
    looks: tuple[Look, ...]

    @property
    def peak_worker(self) -> int:
        return max((look.worker for look in self.looks), default=0)

    @property
    def peak_client(self) -> int:
        return max((look.client for look in self.looks), default=0)

    def worker_growth(self) -> float:
        """The largest resident set of a worker in the last quarter of the time, over that in the second one."""
        quarters = [
            [look.worker for look in self.looks if quarter <= 4 * look.second / self.seconds < quarter + 1]
            for quarter in range(4)
        ]
        return max(quarters[3], default=0) / max(max(quarters[1], default=0), 1)


def surveyed_by(
    name: str, server: Served, output: Path, wheels: int, *options: str, below: str = "", pid: int = 0
) -> Survey:
    """Run ``wheelfuse survey`` on what the server has, into a directory of that name below *output*.

    *pid* is a process whose children are workers, too.

    Raises:
        RunFailed: it ended with another exit code than 0.
    """
    remove(output / name)
    output.mkdir(exist_ok=True)
    server.counts()
    command = programs.wheelfuse(name, "survey", server.url + below, "-o", output / name, "--quiet", *options)
    environment = {**os.environ, **command.environment}
    start, looks = time.perf_counter(), []
    with tempfile.TemporaryFile("w+") as stderr:
        process = subprocess.Popen(
            command.arguments, env=environment, stdout=subprocess.DEVNULL, stderr=stderr
        )
        while process.poll() is None:
            looks.append(_look(time.perf_counter() - start, process.pid, pid))
            time.sleep(PAUSE)
        seconds = time.perf_counter() - start
        if process.returncode:
            stderr.seek(0)
            raise RunFailed(f"{name}: exit code {process.returncode}\n{stderr.read()[-4000:]}")
    taken = Survey(name, wheels, seconds, *server.counts(), tuple(looks))
    progress(
        f"  {name}: {seconds:.2f} s, {taken.sent / 1e6:.1f} MB, workers {taken.peak_worker / 1e6:.0f} MB"
    )
    return taken


def _look(second: float, client: int, other: int) -> Look:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended
                continue
            parents[int(entry.name)] = int(fields[1]), int(fields[21]) * PAGE
    family = {pid for pid in (client, other) if pid}
    while more := {pid for pid, (parent, _) in parents.items() if parent in family} - family:
        family |= more
    workers = family - {client, other}
    sizes = {pid: parents[pid][1] for pid in family if pid in parents}
    return Look(second, sizes.get(client, 0), max((sizes.get(pid, 0) for pid in workers), default=0))


# --- what was fetched ---


@dataclass(frozen=True)
class Fetched:
    """Of one wheel: bytes, how many of them came, and in how many requests."""

    file: str
    size: int
    fetched: int
    requests: int

    @property
    def share(self) -> float:
        return self.fetched / self.size


def fetched_of(output: Path) -> tuple[Fetched, ...]:
    """What the table of wheels says of each that was read."""
    from pyarrow import parquet

    columns = ["file", "size", "fetched", "requests", "status"]
    rows = [
        row
        for part in sorted((output / "wheels").glob("*.parquet"))
        for row in parquet.read_table(part, columns=columns).to_pylist()
    ]
    return tuple(Fetched(*(row[name] for name in columns[:4])) for row in rows if row["status"] == "read")


def quantile(values: Sequence[float], part: float) -> float:
    """The smallest value that is not below *part* of all."""
    ordered = sorted(values)
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)]


def distribution(wheels: Sequence[Fetched]) -> str:
    """The quantiles of shares, of requests, and of bytes: what of all is in the wheels that are best off."""
    headings = ("", *("most" if part == 1 else f"{part:.0%}" for part in QUANTILES))
    shares, requests = [w.share for w in wheels], [float(w.requests) for w in wheels]
    rows = [
        ("fetched share of a wheel", *(f"{quantile(shares, part):.1%}" for part in QUANTILES)),
        ("requests of a wheel", *(f"{quantile(requests, part):.0f}" for part in QUANTILES)),
    ]
    return tables.table(headings, rows, right=range(1, 1 + len(QUANTILES)))


def worst(wheels: Sequence[Fetched], count: int = 10) -> str:
    """The wheels of which most bytes came."""
    rows = [
        (
            wheel.file,
            f"{wheel.size / 1e6:.2f}",
            f"{wheel.fetched / 1e6:.2f}",
            f"{wheel.share:.1%}",
            str(wheel.requests),
        )
        for wheel in sorted(wheels, key=lambda wheel: -wheel.fetched)[:count]
    ]
    return tables.table(("wheel", "MB", "fetched MB", "share", "requests"), rows, right=range(1, 5))


# --- all of it ---


@dataclass(frozen=True)
class Outcome:
    """All surveys, the wheels of the real set, and the figures made of them."""

    surveys: dict[str, tuple[Survey, ...]]
    """By name, as often as there were rounds."""
    real: tuple[Fetched, ...]
    figures: tuple[Figure, ...]


def bench(directory: Path, count: int, *, whole: bool) -> Outcome:
    """Make the wheels in *directory*, and survey them."""
    real = _linked(directory / "all" / "real", brought(*surveyed(whole=whole)))
    progress(f"{count} wheels are made")
    generate(directory / "all" / "made", count)
    made = sorted((directory / "all" / "made").iterdir())
    for times in GROWTH:  # each of them has the same mixture
        _linked(directory / f"some-{times}", made[:: GROWTH[-1] // times])
    surveys: dict[str, tuple[Survey, ...]] = {}
    for number in range(1, ROUNDS + 1):
        progress(f"round {number} of {ROUNDS}")
        for survey in _round(directory, real, count):
            surveys[survey.name] = (*surveys.get(survey.name, ()), survey)
    fetched = fetched_of(directory / "surveys" / "real wheels")
    return Outcome(surveys, fetched, tuple(_figures(surveys, fetched, computing())))


def _round(directory: Path, real: int, count: int) -> Iterator[Survey]:
    output = directory / "surveys"
    with served(directory / "all") as server:
        for workers in ("1", "2"):
            name = f"real wheels, pool of {workers}"
            yield surveyed_by(name, server, output, real, "--workers", workers, below="real/")
        yield surveyed_by("real wheels", server, output, real, below="real/")
        yield from _speeds(server, output, real + count, "no latency")
    for times in GROWTH:
        wheels = sum(1 for _ in (directory / f"some-{times}").iterdir())
        with served(directory / f"some-{times}") as server:
            yield surveyed_by(f"{wheels} generated wheels", server, output, wheels, "--workers", "1")
    with served(directory / "some-1", LATENCY) as server:
        few = count // GROWTH[-1]
        yield from _speeds(server, output, few, f"{LATENCY * 1000:.0f} ms latency")


def computing() -> float:
    """How many times as fast two processes of this machine together compute as one alone."""
    ratios = []
    for _ in range(ROUNDS):
        seconds = []
        for number in (1, 2):
            start = time.perf_counter()
            processes = [subprocess.Popen([sys.executable, "-c", BURNT]) for _ in range(number)]
            for process in processes:
                process.wait()
            seconds.append(time.perf_counter() - start)
        ratios.append(2 * seconds[0] / seconds[1])
    return median(ratios)


def _linked(directory: Path, paths: Sequence[Path]) -> int:
    directory.mkdir(parents=True)
    for path in paths:
        (directory / path.name).symlink_to(path)
    return len(paths)


def _speeds(server: Served, output: Path, wheels: int, about: str) -> Iterator[Survey]:
    """With one worker and with two, in a pool and in a cluster."""
    for workers in (1, 2):
        yield surveyed_by(f"pool of {workers}, {about}", server, output, wheels, "--workers", str(workers))
    for workers in (1, 2):
        with cluster(workers) as (address, pid):
            options = ("--scheduler", address)
            yield surveyed_by(f"cluster of {workers}, {about}", server, output, wheels, *options, pid=pid)


def _figures(
    surveys: dict[str, tuple[Survey, ...]], real: Sequence[Fetched], computed: float
) -> Iterator[Figure]:
    size = sum(wheel.size for wheel in real)
    yield Figure("real wheels: bytes fetched of all", 100 * sum(w.fetched for w in real) / size, "%", 15)
    for workers in (1, 2):
        came = middle(surveys[f"real wheels, pool of {workers}"]).sent
        yield Figure(f"real wheels: the same, pool of {workers}", 100 * came / size, "%", 15)
    counted = middle(surveys["real wheels"]).sent / max(1, sum(wheel.fetched for wheel in real))
    yield Figure("real wheels: bytes that the server counted / bytes in the table", counted, "×")
    yield Figure("real wheels: requests of a wheel", sum(w.requests for w in real) / len(real), "")
    yield Figure("two processes that only compute: together / one alone", computed, "×")
    for name, ones in surveys.items():
        kind, _, about = name.partition(" of 1, ")
        if about:
            twos = surveys[f"{kind} of 2, {about}"]
            ratio = median(one.seconds / two.seconds for one, two in zip(ones, twos, strict=True))
            limit = 1.8 if kind == "cluster" else None
            yield Figure(f"{kind}, {about}: 1 worker / 2 workers", ratio, "×", limit, at_least=True)
    growing = [some for name, some in surveys.items() if name.endswith("generated wheels")]
    # The speed of a virtual processor changes from one second to the next, the more so the longer a run takes.
    least = [min(survey.seconds for survey in some) for some in growing]
    exponent = growth_exponent([some[0].wheels for some in growing], least)
    yield Figure("time by number of wheels, least of the rounds: exponent", exponent, "", 1.1)
    worker = median(survey.worker_growth() for survey in growing[-1])
    yield Figure("memory of a worker: last quarter / second quarter of the time", worker, "×", 1.1)
    all_surveys = [survey for some in surveys.values() for survey in some]
    yield Figure("peak memory of a worker", max(s.peak_worker for s in all_surveys) / 1e6, "MB")
    yield Figure("peak memory of the client", max(s.peak_client for s in all_surveys) / 1e6, "MB")


def middle(surveys: Sequence[Survey]) -> Survey:
    """The one that took neither longest nor shortest."""
    return sorted(surveys, key=lambda survey: survey.seconds)[len(surveys) // 2]


# --- how it is told ---


def document(outcome: Outcome, session: dict[str, str]) -> dict[str, Any]:
    """What ``survey.json`` has."""
    figures = [asdict(figure) | {"met": figure.met} for figure in outcome.figures]
    surveys = [
        asdict(survey) | {"looks": [[round(k.second, 1), k.client, k.worker] for k in _some(survey.looks)]}
        for rounds in outcome.surveys.values()
        for survey in rounds
    ]
    wheels = [asdict(wheel) for wheel in outcome.real]
    return {"schema": SCHEMA, "session": session, "figures": figures, "surveys": surveys, "wheels": wheels}


def _in_lines(found: dict[str, Any]) -> str:
    """As JSON, with each survey and each wheel in a line of its own."""
    parts = []
    for name, value in found.items():
        one = json.dumps(value)
        if isinstance(value, list):
            one = "[\n" + ",\n".join(map(json.dumps, value)) + "\n]"
        parts.append(f"{json.dumps(name)}: {one}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _some(looks: Sequence[Look], most: int = 60) -> Sequence[Look]:
    return looks[:: len(looks) // most + 1]


def told(outcome: Outcome, session: dict[str, str]) -> str:
    """What ``survey.md`` has."""
    rows = [
        (
            survey.name, str(survey.wheels), tables.digits(survey.seconds), f"{survey.wheels / survey.seconds:.0f}",
            f"{survey.sent / 1e6:.1f} MB", str(survey.requests), f"{survey.peak_worker / 1e6:.0f} MB",
            f"{survey.peak_client / 1e6:.0f} MB",
        )
        for survey in map(middle, outcome.surveys.values())
    ]  # fmt: skip
    titles = ("survey", "wheels", "seconds", "wheels/s", "fetched", "requests", "worker", "client")
    figures = [(f.name, tables.value(f), tables.limit(f), _met(f)) for f in outcome.figures]
    real = outcome.real
    total, came = sum(wheel.size for wheel in real), sum(wheel.fetched for wheel in real)
    parts = [
        "# Surveys\n",
        "Written by `python -m bench.survey`. Each survey is a run of the whole program, done"
        f" {ROUNDS} times in turns; told is the one whose time is in the middle, and of two of them the ratio that is."
        " Memory is the largest resident set of a process. 1 MB is a million bytes. The server, the client and a"
        " scheduler run on the processors of the workers.\n",
        tables.table(("figure", "measured", "target", "met"), figures, right=(1, 2)),
        tables.table(titles, rows, right=range(1, len(titles))),
        f"## What is fetched of real wheels\n\nOf {len(real)} wheels of together {total / 1e6:,.0f} MB,"
        f" {came / 1e6:,.0f} MB came.\n",
        distribution(real),
        "Those of which most came:\n",
        worst(real),
        "## Machine\n",
        tables.table(("", ""), list(session.items())),
    ]
    return "\n".join(parts)


def _met(figure: Figure) -> str:
    return {None: "", True: "yes", False: "**no**"}[figure.met]


def equal(*, whole: bool) -> int:
    """Hold the rows of all real wheels against what other programs read; returns the exit code."""
    from tests.real.survey_oracle import all_differences

    compared, differing = 0, 0
    for path, differences in all_differences(brought(*surveyed(whole=whole))):
        compared, differing = compared + 1, differing + bool(differences)
        print("".join(f"{path.name}: {line}\n" for line in differences), end="", flush=True)
    print(f"{compared} wheels compared, {differing} differ")
    return int(bool(differing))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.survey", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--equal", action="store_true", help="compare facts, measure nothing")
    parser.add_argument("--ci", action="store_true", help="only the real wheels that CI takes")
    parser.add_argument(
        "--count", type=int, default=5000, metavar="N", help="generated wheels (default: 5000)"
    )
    parser.add_argument("--directory", type=Path, help="where temporary files go (default: TMPDIR, or /tmp)")
    options = parser.parse_args()
    if options.equal:
        return equal(whole=not options.ci)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as name:
        session = machine.session(Path(name))
        try:
            outcome = bench(Path(name), options.count, whole=not options.ci)
        except RunFailed as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    JSON.write_text(_in_lines(document(outcome, session)), encoding="utf-8")
    MARKDOWN.write_text(told(outcome, session), encoding="utf-8")
    print(told(outcome, session))
    return 0


if __name__ == "__main__":
    sys.exit(main())
