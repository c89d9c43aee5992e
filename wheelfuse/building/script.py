"""A build as lines for a shell, which do what its jobs do, one job after another."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from wheelfuse.building.plan import Job, Plan
from wheelfuse.escape import shell_line, shell_word
from wheelfuse.interpreters.environments import Environment, creation, installation
from wheelfuse.processes import steering


def commands(plan: Plan, job: Job) -> tuple[str, ...]:
    """What is done for a job, to be run as it stands; nothing if the job has no interpreter.

    Raises:
        JobFailed: there is neither uv nor pip.
    """
    return tuple(_commands(plan, job)) if job.interpreter else ()


def _commands(plan: Plan, job: Job) -> Iterator[str]:
    assert job.interpreter
    directory, variables = plan.setup.directory, [f"{name}={value}" for name, value in job.variables.items()]
    prefix = shell_line(["env", *(f"-u{name}" for name in steering()), *variables])
    yield _copying(plan, job)
    yield shell_line(["mkdir", "-p", str(job.output)])
    if plan.options.isolation:
        environment = Environment(job.environment, plan.python(job))
        prefix = f"{prefix} {_activation(environment)}"
        yield shell_line(creation(job.interpreter.path, job.environment))
        if requirements := plan.project.requirements(plan.options.skip_requirements):
            yield shell_line(installation(environment, requirements))
        yield f"{prefix} {shell_line(plan.backend_command('requires', job))}"
        yield shell_line(installation(environment, ["-r", str(job.wanted)]))
    yield f"{prefix} {shell_line(plan.backend_command('wheel', job))}"
    yield f"mv {shell_word(str(job.output))}/*.whl {shell_word(str(directory))}"
    yield shell_line(["rm", "-rf", str(plan.setup.work)])


def _copying(plan: Plan, job: Job) -> str:
    project = plan.source.root / plan.source.project
    options = ["--without", str(plan.setup.directory), *(["--all-files"] if plan.options.all_files else [])]
    return shell_line(
        [sys.executable, "-m", "wheelfuse.building.source", *options, str(project), str(job.sources)]
    )


def _activation(environment: Environment) -> str:
    active = shell_line([f"VIRTUAL_ENV={environment.directory}", "PYTHONNOUSERSITE=1"])
    return f'PATH={shell_word(str(environment.python.parent))}:"$PATH" {active}'
