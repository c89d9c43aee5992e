"""Coverage-guided fuzzing: atheris (libFuzzer) changes inputs and keeps those that reach other code of wheelfuse."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.target import Target
from fuzz.worker import MEMORY, SECONDS, Failure, Tally

_DRAWN = 200
"""How many inputs of the strategy the search begins with."""


def run(target: Target, seconds: float, seed: int) -> Tally:
    """Search for so many seconds in a process of its own; what it finds lies in the corpus afterwards."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        command = [sys.executable, "-m", "fuzz.guided", target.name, str(seed), name, f"-max_total_time={int(seconds)}",
                   f"-seed={seed + 1}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEMORY >> 20}", "-print_final_stats=1",
                   "-max_len=65536", f"-artifact_prefix={name}/found-", f"{name}/corpus"]  # fmt: skip
        Path(name, "corpus").mkdir()
        again = {**os.environ, "PYTHONHASHSEED": "0"}  # the same seed leads the same way
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, env=again
        )
        tally = Tally(seconds=seconds)
        said = re.findall(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
        runs = re.findall(r"^#(\d+)\s", done.stderr, re.MULTILINE)
        tally.counts["guided"] = int((said or runs or ["0"])[-1])
        for path in sorted(Path(name).glob("found-*")):
            kind = {"timeout": "hang", "oom": "memory"}.get(path.name.split("-")[1], "crash")
            tally.counts[kind] += 1
            error = re.findall(r"(?:=== Uncaught Python exception: ===\n)(.*)", done.stderr) or [
                done.stderr[-500:]
            ]
            tally.failures.append(Failure(target.name, seed, -1, kind, error[-1], error[-1][:80]))
            kept = _keep(target, path)
            print(f"{kind} in {target.name}: {kept}: {error[-1]}", flush=True)
            # On a machine of CI the file is soon gone.
            print(base64.b64encode(kept.read_bytes()).decode(), flush=True)
        if not tally.counts["guided"]:
            raise RuntimeError(f"atheris did not run: {done.stderr[-2000:]}")
        return tally


def _keep(target: Target, found: Path) -> Path:
    from fuzz import corpus

    data = found.read_bytes()
    return corpus.save(target, data, corpus.fails_like(target, data))


def search(name: str, seed: int, place: Path, arguments: list[str]) -> None:
    """Be the process that searches. It ends within."""
    import atheris  # first of all, since it changes what is imported after it

    with atheris.instrument_imports(include=["wheelfuse"]):
        from fuzz.targets import TARGETS

    from fuzz import corpus
    from fuzz.drawing import drawer
    from fuzz.worker import attempt, without_syncing

    os.fsync = without_syncing  # type: ignore[assignment]
    target = TARGETS[name]
    draw = drawer(target.inputs(), name, seed)
    begin = [
        *(draw(number) for number in range(_DRAWN)),
        *(path.read_bytes() for path in corpus.files(target)),
    ]
    for number, data in enumerate(begin):
        (place / "corpus" / str(number)).write_bytes(data)

    def one(data: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            attempt(target, data, Path(scratch))

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


if __name__ == "__main__":
    search(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
