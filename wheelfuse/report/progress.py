"""A progress bar on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


@contextmanager
def bar(*, color: bool, of_bytes: bool = True, doing: str = "") -> Iterator[Callable[[int, int], None]]:
    """A bar that vanishes when the block ends; call what it yields with what is done and what there is in all.

    That is bytes, or with *of_bytes* false inputs; *doing* is the word before the bar. The bytes in all change
    once, when verifying is over and writing begins.
    """
    console = Console(stderr=True, no_color=not color)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True) if of_bytes else MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(doing or ("verifying" if of_bytes else "reading"), total=None)
        last = 0

        def advance(done: int, total: int) -> None:
            nonlocal task, last
            if done < last:  # a new phase: what was verified is now written
                task = progress.add_task("writing", total=total)
            last = done
            progress.update(task, completed=done, total=total)

        yield advance
