"""The jobs of a build, live on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from wheelfuse.building.jobs import JobEvent, Phase
from wheelfuse.escape import printable
from wheelfuse.report.progress import BUILDING, Meter
from wheelfuse.sizes import human_size
from wheelfuse.target import Target

_STYLES = {
    Phase.WAITING: "dim",
    Phase.BUILT: "green",
    Phase.KEPT: "green",
    Phase.FAILED: "bold red",
}


@contextmanager
def live_jobs(targets: Iterable[Target], *, color: bool) -> Iterator[Callable[[JobEvent], None]]:
    """A table on stderr that vanishes when the block ends; call what it yields with each event."""
    table = JobTable(targets)
    console = Console(stderr=True, no_color=not color, highlight=False)
    with Live(get_renderable=table.rendered, console=console, transient=True, refresh_per_second=4):
        yield table.take


class JobTable:
    """What is known of each job, as rows of a table; *clock* gives seconds."""

    def __init__(self, targets: Iterable[Target], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: dict[Target, float] = {}
        self._last = {target: JobEvent(target, Phase.WAITING) for target in targets}
        self._meter = Meter(BUILDING, "jobs", clock)

    def take(self, event: JobEvent) -> None:
        """Remember an event."""
        self._begun.setdefault(event.target, self._clock())
        self._last[event.target] = event
        ended = sum(last.result is not None for last in self._last.values())
        self._meter.advance(ended, len(self._last))

    def rendered(self) -> Table:
        """The table as it is now: the target, its phase, the seconds, and the last line that it printed; below, how
        far all of them have come."""
        table = Table(
            box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True,
            caption=Text(self._meter.line()), caption_justify="left", caption_style="dim",
        )  # fmt: skip
        table.add_column("target", no_wrap=True)
        table.add_column("phase", no_wrap=True, min_width=len(Phase.REQUIREMENTS.value))
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True, overflow="ellipsis", ratio=1)
        for target, event in sorted(self._last.items()):
            style = _STYLES.get(event.phase, "")
            table.add_row(str(target), Text(event.phase.value, style), *self._details(event))
        return table

    def _details(self, event: JobEvent) -> Sequence[Text]:
        result = event.result
        if event.phase is Phase.WAITING:
            return Text(), Text()
        if result is None:
            return Text(f"{self._clock() - self._begun[event.target]:.0f} s"), Text(
                printable(event.line), "dim"
            )
        said = f"{result.wheel.name} {human_size(result.size)}" if result.wheel else result.reason
        return Text(f"{result.seconds:.0f} s"), Text(printable(said.partition("\n")[0]))
