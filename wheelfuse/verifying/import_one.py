"""Imports one module and writes down what happened. Run as a program by the interpreter of an environment, which may
be CPython 3.8: nothing of wheelfuse is imported here.

Arguments: the file for the answer (JSON), the file for a traceback of a crash or a hang, the dotted name, where the
file of the module should be below site-packages, ``import`` or ``open`` (for a library that is no module), and
modules to import before.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.machinery
import json
import signal
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any


def main(answer: str, trace: str, name: str, installed: str, how: str, *before: str) -> int:
    """Import *name*, and write to the file *answer* how far it came; the exit status."""
    stack = Path(trace).open("w")  # noqa: SIM115 (open until the process ends)
    faulthandler.enable(stack)
    faulthandler.register(signal.SIGTERM, stack, chain=True)  # what the parent sends when time is up
    del sys.argv[1:]
    site = _site(installed)
    told: dict[str, Any] = {"importing": "", "origin": "", "is_ours": False, "gil": False, "errors": []}
    try:
        _import(name, Path(site, installed), how, before, told)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the parent wants to know)
        traceback.print_exc()
        told["errors"] = [_described(one, site) for one in _chain(error)]
    Path(answer).write_text(json.dumps(told))
    return 1 if told["errors"] else 0


def _import(name: str, path: Path, how: str, before: tuple[str, ...], told: dict[str, Any]) -> None:
    parts = name.split(".")
    parents = [".".join(parts[:end]) for end in range(1, len(parts))]
    for module in (*before, *parents):
        told["importing"] = module
        importlib.import_module(module)
    told["importing"] = name
    had_gil = _gil()
    if how == "open":
        import ctypes

        ctypes.CDLL(str(path))
        told["origin"] = str(path)
    else:
        importlib.import_module(name)
        told["origin"] = _origin(name)
    told["gil"] = _gil() and not had_gil
    told["is_ours"] = path.exists() and Path(told["origin"]).exists() and path.samefile(told["origin"])


def _site(installed: str) -> str:
    """The directory of site-packages that has the file; purelib and platlib are two on some systems."""
    places = [sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
    return next((place for place in places if Path(place, installed).exists()), places[0])


def _gil() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def _origin(name: str) -> str:
    """The file that a module came from. Some put another object in their place, so then the finder is asked."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    for origin in (getattr(spec, "origin", None), getattr(module, "__file__", None)):
        if isinstance(origin, str):
            return origin
    parent = sys.modules.get(name.rpartition(".")[0])
    spec = importlib.machinery.PathFinder.find_spec(name, getattr(parent, "__path__", None))
    return (spec and spec.origin) or ""


def _chain(error: BaseException | None) -> list[BaseException]:
    """The exception, and those that it came from, the outermost first."""
    found: list[BaseException] = []
    while error is not None and not any(error is one for one in found):
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def _described(error: BaseException, site: str) -> dict[str, str]:
    path = getattr(error, "path", None)
    return {
        "type": type(error).__name__,
        "message": str(error),
        "module": getattr(error, "name", None) or "" if isinstance(error, ImportError) else "",
        "path": path if isinstance(error, ImportError) and isinstance(path, str) else "",
        "where": _where(error, site),
    }


def _where(error: BaseException, site: str) -> str:
    """The innermost place in a file outside of importlib and of this program."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if not file.startswith("<frozen") and file != __file__ and Path(file).parent.name != "importlib":
            inside = file[len(site) + 1 :] if file.startswith(f"{site}/") else file
            found = f"{inside}, line {line}"
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
