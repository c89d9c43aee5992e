"""One wheel on one CPython: a fresh environment, the installation, the imports, the command."""

from __future__ import annotations

import shlex
import shutil
import signal
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from wheelfuse.errors import JobFailed
from wheelfuse.interpreters.environments import Environment, create, install
from wheelfuse.interpreters.probe import Interpreter
from wheelfuse.processes import Finished, run
from wheelfuse.target import Target
from wheelfuse.temporary import scratch
from wheelfuse.verifying.claims import Claims, Module
from wheelfuse.verifying.importing import Importer
from wheelfuse.verifying.options import VerifyOptions
from wheelfuse.verifying.results import Imported, Outcome, Result, Trial
from wheelfuse.wheel.outputs import writing

_INSTALLATION = 1800.0
"""Seconds within which a wheel, or what it requires, is installed, downloads included."""

PROJECT = "{project}"
"""What stands for the directory that verify was called in, in the user's command."""


def untried(claims: Claims, target: Target, options: VerifyOptions, reason: str) -> Trial:
    """A trial that this machine cannot make."""
    return _left_out(claims, Trial(target, "", "", Result(Outcome.NOT_VERIFIED, reason)), options, reason)


def _left_out(claims: Claims, trial: Trial, options: VerifyOptions, reason: str) -> Trial:
    """A trial that ends with its installation."""
    result = Result(Outcome.NOT_VERIFIED, reason)
    picked = [(module, module.picked(trial.target)) for module in claims.modules]
    modules = tuple(Imported(module.name, file.path if file else "", result) for module, file in picked)
    return replace(trial, modules=modules, command=result if options.command else None)


@dataclass(frozen=True)
class Job:
    """A trial to be made: which wheel, on which interpreter, how, in which directory its environment goes, and
    whether that is to be kept. Another thread may set *stop*."""

    claims: Claims
    interpreter: Interpreter
    options: VerifyOptions
    directory: Path
    keep: bool
    stop: Event

    @property
    def target(self) -> Target:
        return self.interpreter.target

    def run(self) -> Trial:
        """Make it.

        Raises:
            CancelledError: *stop* was set.
        """
        try:
            return self._run()
        finally:
            if not self.keep:
                shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self) -> Trial:
        with writing(self.directory.parent):
            self.directory.parent.mkdir(parents=True, exist_ok=True)
        begun = Trial(self.target, str(self.interpreter.path), self.interpreter.version, Result(Outcome.OK))
        try:
            environment = create(self.interpreter.path, self.directory, stop=self.stop)
            begun = replace(begun, installation=self._installed(environment))
        except JobFailed as failure:
            reason, _, output = failure.problems[0].what.partition("\n")
            begun = replace(begun, installation=Result(Outcome.FAILED, reason, output))
        if begun.installation.outcome is not Outcome.OK:
            return _left_out(self.claims, begun, self.options, "it was not installed")
        modules = tuple(self._imported(module, environment) for module in self.claims.modules)
        command = self._commanded(environment) if self.options.command else None
        return replace(begun, modules=modules, command=command)

    @property
    def _required(self) -> tuple[str, ...]:
        return self.claims.required(self.target, self.interpreter.version)

    def _installed(self, environment: Environment) -> Result:
        """First the file itself, which needs no network; then what it requires and what the user adds, if any."""
        wheel, stop = str(self.claims.path), self.stop
        first = install(
            environment, [wheel], no_deps=True, offline=True, cached=False, timeout=_INSTALLATION, stop=stop
        )
        if not first.ok:
            return _failed(first, "the installer refused it")
        wanted = list(self.options.with_)
        if self._required and not self.options.no_deps:
            wanted.insert(0, self.claims.itself)
        if not wanted:
            return Result(Outcome.OK, seconds=first.seconds)
        second = install(
            environment, wanted, offline=self.options.offline, find_links=self.options.find_links,
            timeout=_INSTALLATION, stop=stop,
        )  # fmt: skip
        if not second.ok:
            return _failed(second, "what it requires, or --with asks for, could not be installed")
        return Result(Outcome.OK, seconds=first.seconds + second.seconds)

    def _imported(self, module: Module, environment: Environment) -> Imported:
        if self.stop.is_set():
            raise CancelledError
        file = module.picked(self.target)
        if file is None:
            return Imported(module.name, "", _hole(module, self.target, self.options))
        options = self.options
        importer = Importer(
            self.claims, environment, self._required, options.no_deps, options.timeout, self.stop
        )
        return Imported(module.name, file.path, importer.result(module, file))

    def _commanded(self, environment: Environment) -> Result:
        """The user's command, run by the shell in an empty directory, so that the source tree is not imported."""
        text = self.options.command.replace(PROJECT, shlex.quote(str(Path.cwd())))
        with scratch() as work:
            finished = run(
                ["sh", "-c", text], cwd=work, env=environment.variables(),
                timeout=self.options.command_timeout, stop=self.stop,
            )  # fmt: skip
        return Result(*self._ending(finished), finished.output, finished.seconds)

    def _ending(self, finished: Finished) -> tuple[Outcome, str]:
        """How the command ended. The shell says 128 + n where signal n ended what it ran."""
        if finished.ok:
            return Outcome.OK, ""
        if finished.timed_out:
            return Outcome.HUNG, f"it did not end within {self.options.command_timeout:g} s"
        if finished.signal is None and 128 < finished.returncode <= 128 + signal.SIGRTMAX:
            finished = replace(finished, signal=finished.returncode - 128)
        if finished.signal is not None:
            return Outcome.CRASHED, f"killed by {finished.signal_name}"
        return Outcome.FAILED, f"exit status {finished.returncode}"


def _failed(finished: Finished, reason: str) -> Result:
    return Result(Outcome.FAILED, reason, finished.output, finished.seconds)


def _hole(module: Module, target: Target, options: VerifyOptions) -> Result:
    if options.allows_missing(target, module.name):
        return Result(Outcome.ABSENT)
    return Result(Outcome.MISSING, "the wheel claims this CPython, but has no file of the module for it")
