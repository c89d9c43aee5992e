"""What really becomes of a file: every CPython at hand is made to open it as import would.

One process for each CPython forks for each file, so that a crash is an outcome like others. A file that no suffix of
that CPython fits is ``missing``. Others are opened with dlopen and RTLD_NOW, the init function is looked up, and
where that is not all that can go wrong (a stable ABI on a free-threaded build) the module is created.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.interpreters import available
from wheelfuse.target import Target


@dataclass(frozen=True)
class Attempt:
    """A file to open: as the module *stem* (the last part of its name), or, if that is empty, as a library."""

    path: str
    stem: str = ""


@dataclass(frozen=True)
class Truth:
    """``loads``, ``fails`` or ``missing``, and what the interpreter or the linker said."""

    outcome: str
    message: str = ""


PROBE = r"""
import _imp, ctypes, importlib.machinery as machinery, json, os, sys, sysconfig, warnings

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

def attempt(path, stem):
    name = os.path.basename(path)
    if stem and name not in [stem + suffix for suffix in machinery.EXTENSION_SUFFIXES]:
        return ["missing", ""]
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        return ["fails", str(error)]
    if not stem:
        return ["loads", ""]
    hooks = ["PyModExport_" + stem, "PyInit_" + stem]
    if not any(hasattr(library, hook) for hook in hooks[sys.version_info < (3, 15):]):
        return ["fails", "no init function"]
    if FREE_THREADED and ".abi3" in name:
        spec = machinery.ModuleSpec(stem, machinery.ExtensionFileLoader(stem, path), origin=path)
        try:
            _imp.create_dynamic(spec)
        except SystemError as error:
            return ["fails", str(error)]
    return ["loads", ""]

def forked(path, stem):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.write(writing, json.dumps(attempt(path, stem))[:4000].encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    status = os.waitpid(child, 0)[1]
    return json.loads(told) if told and not status else ["fails", "status %d" % status]

warnings.simplefilter("ignore")
print(json.dumps([forked(*item) for item in json.load(sys.stdin)]))
"""


def outcomes(attempts: Sequence[Attempt]) -> dict[Target, list[Truth]]:
    """What becomes of each attempt on each CPython at hand."""
    asked = json.dumps([list(asdict(attempt).values()) for attempt in attempts])
    leaky = ("PYTHON", "VIRTUAL_ENV", "LD_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(leaky)}
    found = {}
    for target, python in available().items():
        done = _run(python, asked, env)
        found[target] = [Truth(*told) for told in json.loads(done)]
        assert len(found[target]) == len(attempts)
    return found


def _run(python: Path, asked: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        [str(python), "-I", "-c", PROBE],
        input=asked,
        env=env,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
