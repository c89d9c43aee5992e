"""What fuzzing came to: JSON that further runs add to, and a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fuzz.target import ACCEPTED, REFUSED, Target
from fuzz.worker import Tally

SCHEMA = 1
BAD = {"crash": "crashes", "hang": "over 10 s", "memory": "over 1 GB", "wrong": "wrong outputs"}
"""Kinds of failures, and what the table calls them."""
_COUNTS = (ACCEPTED, REFUSED, *BAD, "guided", "installed")


def empty() -> dict[str, Any]:
    """The document of no run."""
    return {"schema": SCHEMA, "runs": [], "targets": {}}


def load(path: Path) -> dict[str, Any]:
    """The document at *path*, or that of no run."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else empty()


def add(document: dict[str, Any], run: Mapping[str, Any], tallies: Mapping[str, Tally]) -> None:
    """Count a run: *run* tells seed, numbers, versions."""
    document["runs"].append({**run, "inputs": {name: tried(tally.counts) for name, tally in tallies.items()}})
    for name, tally in tallies.items():
        entry = document["targets"].setdefault(
            name, {**dict.fromkeys(_COUNTS, 0), "seconds": 0, "slowest": 0, "failures": []}
        )
        for kind, count in tally.counts.items():
            entry[kind] += count
        entry["seconds"] = round(entry["seconds"] + tally.seconds, 1)
        entry["slowest"] = round(max(entry["slowest"], tally.slowest), 3)
        known = {(failure["kind"], failure["where"]) for failure in entry["failures"]}
        for failure in tally.failures:
            if (failure.kind, failure.where) not in known:
                known.add((failure.kind, failure.where))
                entry["failures"].append(asdict(failure))


def save(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def total(document: Mapping[str, Any]) -> int:
    """How many inputs were tried in all."""
    return sum(tried(entry) for entry in document["targets"].values())


def tried(entry: Mapping[str, int]) -> int:
    """How many inputs of one target were tried."""
    return sum(entry.get(kind, 0) for kind in (ACCEPTED, REFUSED, *BAD, "guided"))


def table(document: Mapping[str, Any], targets: Mapping[str, Target]) -> str:
    """A Markdown table: inputs, what became of them, and what must be 0."""
    head = ["Target", "Inputs", "accepted", "refused", *BAD.values(), "slowest"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    entries = {name: document["targets"][name] for name in targets if name in document["targets"]}
    for name, entry in entries.items():
        counts = [entry[ACCEPTED], entry[REFUSED], *(entry[kind] for kind in BAD)]
        rows.append(
            [
                targets[name].about,
                f"{tried(entry):,}",
                *(f"{count:,}" for count in counts),
                f"{entry['slowest']:.2f} s",
            ]
        )
    sums = [sum(entry[kind] for entry in entries.values()) for kind in (ACCEPTED, REFUSED, *BAD)]
    installed = sum(entry.get("installed", 0) for entry in entries.values())
    rows.append(["**all**", f"{total(document):,}", *(f"{count:,}" for count in sums), ""])
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"
    return text + (
        f"\nOutputs that installer, pip and uv installed alike: {installed:,}\n" if installed else ""
    )
