"""A report as pictures: how much longer peers take, and how time and memory grow.

The same report gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import FuncFormatter, MaxNLocator, ScalarFormatter

from bench.result import Entry, Report
from bench.tables import digits

OURS, PEER, YARDSTICK, LIMIT, TEXT = "#0b6e99", "#c2c8cf", "#8a94a0", "#b3261e", "#24292f"

PEERS: dict[str, tuple[str, ...]] = {
    "merge_onnxruntime": ("cat", "cat && sync", "unpack, copy, pack"),
    "merge_cupy": ("cat", "cat && sync", "unpack, copy, pack"),
    "audit_cupy": ("abi3audit", "abi3audit --assume-minimum-abi3", "auditwheel show"),
    "audit_triton": ("abi3audit", "auditwheel show"),
    "version": ("auditwheel --version", "abi3audit --version"),
}
"""The cases that are drawn beside peers, with these; the first program of a case is wheelfuse."""

STYLE: dict[str, Any] = {
    "svg.hashsalt": "wheelfuse",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": "#8c959f",
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}


def draw(report: Report, directory: Path) -> list[Path]:
    """Write ``ratios.svg`` and ``growth.svg``, each if the report has what it shows; returns what was written."""
    with style.context(STYLE):
        pictures = {"ratios.svg": _ratios(report), "growth.svg": _growth(report)}
        written = {directory / name: picture for name, picture in pictures.items() if picture}
        for path, picture in written.items():
            picture.savefig(path, metadata={"Date": None})
    return list(written)


# --- times beside peers ---


def _ratios(report: Report) -> Picture | None:
    """Bars on a logarithmic axis: how many times as long as wheelfuse each program takes."""
    entries = [entry for entry in report.entries if entry.case in PEERS]
    if not entries:
        return None
    heights = [len(_bars(entry)) for entry in entries]
    picture = Picture(figsize=(8.6, 0.27 * sum(heights) + 0.5 * len(entries) + 0.6), layout="constrained")
    grid = picture.subplots(len(entries), 1, sharex=True, height_ratios=heights, squeeze=False)
    ratios = [ratio for entry in entries for _, ratio, _ in _bars(entry)]
    for axes, entry in zip(grid[:, 0], entries, strict=True):
        _draw_bars(axes, entry)
        axes.set_xlim(min(ratios) / 1.5, max(ratios) * 6)
    last = grid[-1, 0]
    last.tick_params(axis="x", which="both", bottom=True, labelbottom=True)
    last.spines["bottom"].set_visible(True)
    last.set_xlabel("← faster      time of the program / time of wheelfuse      slower →")
    return picture


def _bars(entry: Entry) -> list[tuple[str, float, float]]:
    """Name, ratio to wheelfuse and seconds of each program; wheelfuse is the first."""
    runs = entry.result.runs
    ours, *_ = runs
    base = [run.seconds for run in runs[ours]]
    bars = [(f"wheelfuse {ours.removeprefix('wheelfuse ')}", 1.0, median(base))]
    for name in PEERS[entry.case]:
        times = [run.seconds for run in runs[name]]
        ratio = median(time / own for time, own in zip(times, base, strict=True))
        bars.append((name, ratio, median(times)))
    return bars


def _draw_bars(axes: Axes, entry: Entry) -> None:
    """Bars begin where wheelfuse is, since a logarithmic axis has no zero: to the right slower, to the left faster."""
    bars = _bars(entry)
    axes.set_xscale("log")
    axes.plot(1, 0, "o", color=OURS, markersize=9, zorder=3)
    _, *peers = enumerate(bars)
    for place, (name, ratio, _) in peers:
        colour = YARDSTICK if name.startswith("cat") else PEER
        axes.barh(place, ratio - 1, left=1, color=colour, height=0.68)
    for place, (_, ratio, time) in enumerate(bars):
        told = f"{digits(time)} s" if place == 0 else f"{digits(ratio)}×  ({digits(time)} s)"
        axes.annotate(
            told, (max(ratio, 1), place), (8, 0), textcoords="offset points", va="center", fontsize=9
        )
    axes.axvline(1, color=OURS, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_title(entry.title)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)


# --- growth ---


def _growth(report: Report) -> Picture | None:
    """For each series a column: seconds with a straight line through them, and peak memory below."""
    entries = [entry for entry in report.entries if entry.result.growth]
    if not entries:
        return None
    picture = Picture(figsize=(3.5 * len(entries) + 0.6, 5.2), layout="constrained")
    grid = picture.subplots(2, len(entries), sharex="col", height_ratios=(3, 2), squeeze=False)
    for column, entry in enumerate(entries):
        _draw_times(grid[0, column], entry)
        _draw_memory(grid[1, column], entry)
    grid[0, 0].set_ylabel("time of merge [s]")
    grid[1, 0].set_ylabel("peak memory [MB]")
    top = max(axes.get_ylim()[1] for axes in grid[1])
    for axes in grid[1]:
        axes.set_ylim(0, top)
    return picture


def _draw_times(axes: Axes, entry: Entry) -> None:
    assert entry.result.growth
    sizes = np.array(entry.result.growth.sizes, dtype=float)
    times = [[run.seconds for run in runs] for runs in entry.result.runs.values()]
    middle = np.array([median(of_size) for of_size in times])
    slope, start = np.polyfit(sizes, middle, 1)
    span = np.array([0, sizes[-1] * 1.03])
    axes.plot(
        span,
        start + slope * span,
        color=YARDSTICK,
        linewidth=1.2,
        linestyle=(0, (5, 3)),
        label="straight line",
    )
    spread = [
        [mid - min(of_size) for mid, of_size in zip(middle, times, strict=True)],
        [max(of_size) - mid for mid, of_size in zip(middle, times, strict=True)],
    ]
    axes.errorbar(
        sizes, middle, spread, fmt="o", color=OURS, markersize=5, capsize=3, label="median, least, most"
    )
    axes.set_title(entry.title)
    exponent = next(figure for figure in entry.result.figures if figure.unit == "")
    axes.legend(
        loc="upper left",
        frameon=False,
        fontsize=8.5,
        title=f"exponent {exponent.value:.2f}",
        alignment="left",
    )
    _plain(axes)
    axes.set_ylim(0, max(map(max, times)) * 1.35)


def _draw_memory(axes: Axes, entry: Entry) -> None:
    assert entry.result.growth
    memory = [max(run.peak_bytes for run in runs) / 1e6 for runs in entry.result.runs.values()]
    axes.plot(entry.result.growth.sizes, memory, "o-", color=OURS, markersize=5, linewidth=1.2)
    for figure in entry.result.figures:
        if figure.unit == "MB" and figure.limit is not None:
            axes.axhline(figure.limit, color=LIMIT, linewidth=1)
            axes.annotate(
                f"target {figure.limit:g} MB",
                (1, figure.limit),
                (0, 3),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                fontsize=8.5,
                color=LIMIT,
            )
            axes.set_ylim(0, max(*memory, figure.limit) * 1.25)
    axes.set_xlabel(entry.result.growth.axis)
    _plain(axes)


def _plain(axes: Axes) -> None:
    """A grid behind, few ticks, and no offset or exponent at the axis."""
    axes.set_axisbelow(True)
    axes.grid(color="#e6e9ec", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    axes.set_xlim(left=0)
