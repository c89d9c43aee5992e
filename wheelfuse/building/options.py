"""What the user decides about a build: the same on the command line, in pyproject.toml and in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wheelfuse.errors import UsageError
from wheelfuse.interpreters.matrix import KEYS, TABLE, MatrixOptions
from wheelfuse.pyproject import strings

ConfigSettings = tuple[tuple[str, tuple[str, ...]], ...]
"""Settings for the build backend (PEP 517): names, each with the values given for it."""

_LISTS = ("skip-requirements", "environment")


@dataclass(frozen=True)
class BuildOptions:
    """All decisions about one build.

    *matrix*: for which CPythons. *config_settings* go to the build backend as they are. *skip_requirements* are
    distributions that are not installed for a build although it asks for them, such as a torch that is elsewhere.
    *environment* are further variables (globs) that decide what comes out of a build, so that ``--resume`` heeds
    them. *all_files*: build also from files that git is told to ignore. *isolation*: build in a fresh environment
    with what ``build-system.requires`` names, not in the interpreter as it is. *cache*: use ccache or sccache.
    *jobs* run at a time (0: one per core, as many as there are targets); each may take *timeout* seconds (0: for
    ever). *resume*: leave alone what was built from the same sources with the same settings.
    """

    matrix: MatrixOptions = field(default_factory=MatrixOptions)
    config_settings: ConfigSettings = ()
    skip_requirements: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    all_files: bool = False
    isolation: bool = True
    cache: bool = True
    jobs: int = 0
    timeout: float = 0
    resume: bool = False

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> BuildOptions:
        """Read ``[tool.wheelfuse.build]``: the keys of the matrix, ``config-settings`` (a table), ``environment`` and
        ``skip-requirements`` (lists), ``all-files`` (true or false).

        Raises:
            UsageError: an unknown key, or a value of the wrong kind.
        """
        known = {*KEYS, *_LISTS, "config-settings", "all-files"}
        if unknown := sorted(set(table) - known):
            there = f"there are {', '.join(sorted(known))}"
            raise UsageError(f"{TABLE}: unknown {', '.join(unknown)}; {there}")
        all_files = table.get("all-files", False)
        if not isinstance(all_files, bool):
            raise UsageError(f"{TABLE}: all-files is true or false")
        settings = _settings_of(table.get("config-settings", {}))
        skipped, environment = (strings(table, TABLE, key) for key in _LISTS)
        return cls(MatrixOptions.from_table(table), settings, skipped, environment, all_files)

    def over(self, base: BuildOptions) -> BuildOptions:
        """These options on top of *base*: a config setting given here replaces the one of that name there."""
        named = dict(self.config_settings)
        kept = tuple((name, values) for name, values in base.config_settings if name not in named)
        return replace(
            self,
            matrix=self.matrix.over(base.matrix),
            config_settings=(*kept, *self.config_settings),
            skip_requirements=(*base.skip_requirements, *self.skip_requirements),
            environment=(*base.environment, *self.environment),
            all_files=self.all_files or base.all_files,
        )


def parse_config_settings(texts: Iterable[str]) -> ConfigSettings:
    """``KEY=VALUE``, as pip and build have it: a key that is given again has several values.

    Raises:
        UsageError: it is not of that form.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f"--config-setting {text!r} is not KEY=VALUE")
        found.setdefault(key, []).append(value)
    return tuple((key, tuple(values)) for key, values in found.items())


def for_backend(settings: ConfigSettings) -> dict[str, str | list[str]]:
    """The settings as a backend gets them: a list where several values were given."""
    return {key: values[0] if len(values) == 1 else list(values) for key, values in settings}


def _settings_of(table: Any) -> ConfigSettings:
    if not isinstance(table, dict):
        raise UsageError(f"{TABLE}: config-settings is a table")
    found = []
    for key, value in table.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in values) or not values:
            raise UsageError(f"{TABLE}: config-settings.{key} is a string, or a list of strings")
        found.append((key, tuple(values)))
    return tuple(found)
