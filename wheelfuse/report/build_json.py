"""A build as JSON: an API, described by ``schemas/build-1.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wheelfuse.building.api import BuildOutcome
from wheelfuse.building.jobs import JobResult
from wheelfuse.building.plan import Job, Plan
from wheelfuse.building.script import commands
from wheelfuse.building.torch import Torch
from wheelfuse.errors import Problem
from wheelfuse.report.document import dumped, problems_document

BUILD = "wheelfuse/build/1"

Document = Mapping[str, Any] | None


def build_to_json(
    outcome: BuildOutcome, problems: Iterable[Problem] = (), *, merge: Document = None, audit: Document = None
) -> str:
    """What ``wheelfuse build --json`` prints. *problems* is what failed, *merge* and *audit* the documents of what
    came after, if they did."""
    jobs = [
        {**_job(job, outcome.plan), **_result(result)}
        for job, result in zip(outcome.plan.jobs, outcome.jobs, strict=True)
    ]
    return _dumped(outcome.plan, jobs, tuple(problems), merge, audit)


def plan_to_json(plan: Plan, problems: Iterable[Problem] = ()) -> str:
    """What ``wheelfuse build --dry-run --json`` prints."""
    return _dumped(plan, [{**_job(job, plan), **_PLANNED} for job in plan.jobs], tuple(problems))


def _dumped(
    plan: Plan,
    jobs: Sequence[Mapping[str, Any]],
    problems: Sequence[Problem],
    merge: Document = None,
    audit: Document = None,
) -> str:
    source, setup = plan.source, plan.setup
    document = {
        "schema": BUILD,
        "ok": not problems,
        "project": plan.project.name,
        "requires_python": plan.project.requires_python,
        "source": {
            "root": str(source.root),
            "project": source.project,
            "files": len(source.files),
            "digest": source.digest,
            "epoch": source.epoch,
            "from_git": source.git is not None,
        },
        "directory": str(setup.directory),
        "parallel": setup.parallel,
        "placing": setup.placing.name.lower().replace("_", "-"),
        "compile_cache": str(setup.launcher) if setup.launcher else None,
        "torch": _torch(setup.torch) if setup.torch else None,
        "notes": list(plan.notes),
        "jobs": jobs,
        "merge": merge,
        "audit": audit,
        "errors": problems_document(problems),
    }
    return dumped(document)


def _job(job: Job, plan: Plan) -> dict[str, Any]:
    interpreter = job.interpreter
    return {
        "target": str(job.target),
        "python": str(interpreter.path) if interpreter else None,
        "version": interpreter.version if interpreter else None,
        "soabi": interpreter.soabi if interpreter else None,
        "log": str(job.log),
        "commands": list(commands(plan, job)),
    }


_PLANNED: dict[str, Any] = {
    "state": "planned", "seconds": 0.0, "wheel": None, "size": 0, "sha256": None, "reason": "", "tail": "",
}  # fmt: skip


def _result(result: JobResult) -> dict[str, Any]:
    return {
        "state": result.phase.value,
        "seconds": round(result.seconds, 3),
        "wheel": str(result.wheel) if result.wheel else None,
        "size": result.size,
        "sha256": result.sha256 or None,
        "reason": result.reason,
        "tail": result.tail,
    }


def _torch(torch: Torch) -> dict[str, Any]:
    return {
        "python": str(torch.python),
        "version": torch.version,
        "directory": str(torch.directory),
        "cmake_prefix": str(torch.cmake_prefix),
        "cxx11_abi": torch.cxx11_abi,
        "cuda": torch.cuda or None,
        "hip": torch.hip or None,
    }
