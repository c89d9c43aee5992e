"""A build for people: lines while it goes on, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from wheelfuse.building.api import BuildOutcome
from wheelfuse.building.jobs import JobEvent, JobResult, Phase
from wheelfuse.building.plan import Plan
from wheelfuse.building.script import commands
from wheelfuse.escape import printable
from wheelfuse.report.audit_parts import count
from wheelfuse.report.lines import rendered
from wheelfuse.sizes import human_size


def event_line(event: JobEvent, *, plain: bool = False) -> str:
    """What a log is told of an event: that a job starts, and how it ends. Empty for all between. *plain*: in words."""
    if event.phase is Phase.STARTED:
        return f"{event.target}: started ({printable(event.line)})"
    ending = _ending(event.result) if event.result else ""
    return f"{event.target}: {ending.replace(' -> ', ': ', 1) if plain else ending}" if ending else ""


def _ending(result: JobResult) -> str:
    if result.phase is Phase.FAILED:
        return f"FAILED after {result.seconds:.1f} s: {_first_line(result.reason)}"
    wheel = f"{printable(result.wheel.name) if result.wheel else ''} {human_size(result.size)}"
    if result.phase is Phase.KEPT:
        return f"there already -> {wheel}"
    return f"done in {result.seconds:.1f} s -> {wheel}"


def build_report(outcome: BuildOutcome, *, color: bool = False) -> str:
    """One line for each target, and how many wheels there are."""
    lines = [Text(_head(outcome), style="bold"), Text()]
    target = max(len(str(job.target)) for job in outcome.jobs)
    sizes = [human_size(job.size) for job in outcome.jobs]
    for job, size in zip(outcome.jobs, sizes, strict=True):
        start = f"{job.target!s:<{target}}"
        if job.wheel:
            took = "kept" if job.phase is Phase.KEPT else f"{job.seconds:.1f} s"
            lines.append(
                Text(f"{start}  {took:>8}  {size:>{max(map(len, sizes))}}  {printable(job.wheel.name)}")
            )
        else:
            lines.append(Text.assemble(f"{start}  ", ("FAILED", "red"), f"  {_first_line(job.reason)}"))
    return rendered(lines, color)


def build_plain(outcome: BuildOutcome) -> str:
    """The same in words alone, one fact in a line."""
    lines = [_head(outcome)]
    for job in outcome.jobs:
        if job.wheel:
            took = "there already" if job.phase is Phase.KEPT else f"built in {job.seconds:.1f} s"
            lines.append(printable(f"{job.target}: {took}: {job.wheel.name}, {human_size(job.size)}"))
        else:
            lines.append(f"{job.target}: FAILED: {_first_line(job.reason)}")
    return "\n".join((*lines, ""))


def _head(outcome: BuildOutcome) -> str:
    plan, wheels = outcome.plan, len({job.wheel for job in outcome.jobs if job.wheel})
    name = f"{plan.project.name}: " if plan.project.name else ""
    failed = len(outcome.failed)
    end = f", {count(failed, 'job')} failed" if failed else ""
    return f"{printable(name)}{count(wheels, 'wheel')} in {printable(str(plan.setup.directory))}{end}"


def _first_line(text: str) -> str:
    return printable(text.partition("\n")[0])


def plan_text(plan: Plan) -> str:
    """The commands of a build, as lines for a shell."""
    return "\n".join(_plan_lines(plan))


def _plan_lines(plan: Plan) -> Iterator[str]:
    source, placing = plan.source, plan.setup.placing
    from_git = "that git tracks or would track" if source.git else "there are"
    yield f"# sources: {count(len(source.files), 'file')} {from_git} in {printable(str(source.root))}"
    yield f"# {count(plan.setup.parallel, 'job')} at a time; {placing.value}"
    for job in plan.jobs:
        yield ""
        if not job.interpreter:
            yield f"# {job.target}: {_first_line(job.why_not)}"
            continue
        yield f"# {job.target}: CPython {printable(job.interpreter.version)}"
        yield from commands(plan, job)
