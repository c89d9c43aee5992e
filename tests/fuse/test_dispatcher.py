"""A module behind a dispatcher is compared with the same module without one, on every CPython found."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import zipfile
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.interpreters import available
from wheelfuse.fuse.dispatcher import dispatcher
from wheelfuse.target import ALL_TARGETS, Target

SAMPLE = '''\
# a comment before the docstring
"""The sample."""
from __future__ import annotations

import dataclasses, enum, sys, typing
from . import plain
from .plain import VALUE as value

__all__ = ["Point", "Colour", "function"]
__version__: str = "1"
count = 0
_frame_globals_are_ours = sys._getframe(0).f_globals is globals()


@dataclasses.dataclass
class Point:
    """A point."""

    x: int = 0
    parent: Point | None = None

    def method(self):
        return "method"

    class Inner:
        inner = True


class Colour(enum.Enum):
    RED = 1


class Pair(typing.NamedTuple):
    left: int
    right: Point


# a comment before the function
def function(argument: Point = None):
    """The function."""
    global count
    count += 1
    return count


def divide():
    return 1 / 0


def warn():
    import warnings

    warnings.warn("from the variant")


def caller():
    return sys._getframe(1).f_code.co_filename


square = lambda x: x * x
'''

SHADOWS = """\
try:
    runs += 1
except NameError:
    runs = 1
exec = globals = locals = getattr = tuple = ImportError = ModuleNotFoundError = linecache = os = sys = None
variants = variant = loader = path = code = python = "of the variant"
"""

PACKAGE = '''\
"""The package."""
from .inner import DEPTH

def __getattr__(name):
    if name == "computed":
        return 42
    raise AttributeError(name)

def __dir__():
    return ["computed"]
'''

MAIN = """\
import inspect, json, pickle, sys

class Local: pass

if __name__ == "__main__":
    module = sys.modules["__main__"]
    spec = __spec__ and (__spec__.name, __spec__.origin, __spec__.parent)
    names = sorted(set(globals()) - {"__annotations__"})  # 3.8 to 3.13 make these for a script
    print(json.dumps([
        __name__, __file__, __package__, __doc__, spec, names, sys.argv,
        inspect.getsource(module), inspect.getsource(Local), repr(pickle.loads(pickle.dumps(Local))),
    ]))
    sys.exit(3)
"""

DOCTESTED = '''\
def double(x):
    """
    >>> double(2)
    4
    >>> double(3)
    7
    """
    return 2 * x
'''

FAILS = """\
# line 1
def inner():
    raise ValueError("from the variant")
inner()
"""

DISPATCHED = {
    "pkg/sample.py": SAMPLE.encode(),
    "pkg/bare.py": b"FIRST = sorted(globals())\nimport sys\nx: int = 1\ndef public(): pass\n_private = 1\n",
    "pkg/empty.py": b"",
    "pkg/shadows.py": SHADOWS.encode(),
    "pkg/future.py": b"from __future__ import annotations\ndef f(x: int): pass\n",
    "pkg/present.py": b"def f(x: int): pass\n",
    "pkg/latin.py": b"# -*- coding: latin-1 -*-\ntext = '\xe9'\nclass C:\n    text = '\xe9'\n",
    "pkg/bom.py": b"\xef\xbb\xbftext = '\xc3\xa9'\nclass C:\n    text = '\xc3\xa9'\n",
    "pkg/dos.py": b"\x0c\r\n# \xc3\xa9\x0c\r\ntext = '''\r\n\x1c'''\r\nclass C:\r\n    pass",
    "pkg/broken.py": b"x = 1\n\ny = = 2\n",
    "pkg/fails.py": FAILS.encode(),
    "pkg/chained.py": b"try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('x') from e\n",
    "pkg/quits.py": b"raise SystemExit(5)\n",
    "pkg/imports_missing.py": b"import no.such.module\n",
    "pkg/cycle_a.py": b"early = 1\nfrom . import cycle_b\nlate = cycle_b.seen\n",
    "pkg/cycle_b.py": b"from . import cycle_a\nseen = sorted(vars(cycle_a))\n",
    "pkg/replaces.py": b"import sys, types\nsys.modules[__name__] = types.SimpleNamespace(replaced=True)\n",
    "pkg/doctested.py": DOCTESTED.encode(),
    "pkg/looks.py": b"import inspect\nclass C:\n    pass\ntext = inspect.getsource(C)\n",
    "pkg/main.py": MAIN.encode(),
    "pkg/sub/__init__.py": PACKAGE.encode(),
    "pkg/sub/__main__.py": MAIN.encode(),
    "top.py": b"import sys\nname = __name__\n",
    "pkg/lazily.py": b"lazy import this_module_is_not_there\nnames = sorted(globals())\n",
}
UNCHANGED = {
    "pkg/__init__.py": b"",
    "pkg/plain.py": b"VALUE = 7\n",
    "pkg/sub/inner.py": b"from .. import plain\nDEPTH = plain.VALUE\n",
}
ABSENT = "pkg/gone.py"

SAME = {
    "attributes": """
        import pkg.sample as m
        return [m.__name__, m.__file__, m.__doc__, m.__package__, repr(type(m.__builtins__))]""",
    "spec": """
        import pkg.sample as m
        s = m.__spec__
        return [s.name, s.origin, s.cached, s.has_location, s.parent, s.submodule_search_locations,
                type(s.loader).__name__, s.loader is m.__loader__, s.loader.get_filename(s.name)]""",
    "namespace": "import pkg.sample as m; return [list(vars(m)), dir(m)]",
    "namespace without docstring": "import pkg.bare as m; return [m.__doc__, m.FIRST, list(vars(m)), dir(m)]",
    "namespace of an empty file": "import pkg.empty as m; return list(vars(m))",
    "source of an empty file": "import pkg.empty as m; return attempt(inspect.getsource, m)",
    "top-level module": "import top; return [top.name, list(vars(top))]",
    "annotations": """
        import pkg.sample as m, pkg.bare as n
        return [repr(m.__annotations__), repr(n.__annotations__), hasattr(n, "__annotate__"),
                repr(m.function.__annotations__), repr(sorted(vars(n)))]""",
    "star import": """
        found = []
        for name in "sample", "bare", "future":
            space = {}
            exec("from pkg.%s import *" % name, space)
            found.append(list(space))
        return found""",
    "pickle": """
        import pickle, pkg.sample as m
        things = [m.Point, m.Point.Inner, m.Colour.RED, m.function, m.Point(3, m.Point()), m.Pair(1, None)]
        return [repr(things[4:]), pickle.loads(pickle.dumps(things)) == things, m.Point.__module__]""",
    "deepcopy": """
        import copy, pkg.sample as m
        return repr(copy.deepcopy([m.Point(1, m.Point()), m.Pair(1, 2)]))""",
    "type hints": """
        import typing, pkg.sample as m
        return [attempt(lambda: repr(typing.get_type_hints(o))) for o in (m, m.Pair, m.function, m.Point)]""",
    "source of module": "import pkg.sample as m; return inspect.getsource(m)",
    "source of classes": """
        import pkg.sample as m
        return [inspect.getsourcelines(c) for c in (m.Point, m.Point.Inner, m.Colour, m.Pair)]""",
    "source of functions": """
        import pkg.sample as m
        things = m.function, m.Point.method, m.Point().method, m.divide, m.square
        return [inspect.getsourcelines(f) for f in things] + [inspect.getcomments(m.function)]""",
    "source after checkcache": """
        import linecache, pkg.sample as m
        linecache.checkcache()
        return [inspect.getsourcelines(o) for o in (m, m.Point, m.function)]""",
    "source during import": "import pkg.looks as m; return m.text",
    "source after reload": """
        import importlib, pkg.doctested as m
        importlib.reload(m)
        return inspect.getsource(m)""",
    "files": """
        import pkg.sample as m
        return [f(o) for f in (inspect.getfile, inspect.getsourcefile) for o in (m, m.Point, m.Colour)]""",
    "modules": "import pkg.sample as m; return [inspect.getmodule(o) is m for o in (m, m.Point, m.function)]",
    "globals": """
        import pkg.sample as m
        return [m._frame_globals_are_ours, m.function.__globals__ is vars(m)]""",
    "global statement": "import pkg.sample as m; m.count = 0; m.function(); return [m.function(), m.count]",
    "relative imports": "import pkg.sample as m; return [m.value, m.plain.__name__]",
    "future imports": """
        import pkg.future, pkg.present
        return [repr(m.f.__annotations__) for m in (pkg.future, pkg.present)]""",
    "reload": """
        import importlib, pkg.sample as m
        m.kept, before = "kept", m.Point
        again = importlib.reload(m)
        return [again is m, m.kept, m.Point is before, m.count, sorted(set(vars(m)) - {"kept"})]""",
    "reload of a module with the names of builtins": """
        import importlib, pkg.shadows as m
        importlib.reload(m)
        return [importlib.reload(m).runs, sorted(vars(m)), m.exec, m.path]""",
    "package": """
        import pkg.sub as m, pkgutil
        return [list(m.__path__), m.DEPTH, m.inner.__name__, m.computed, dir(m), attempt(lambda: m.other),
                m.__package__, m.__file__, sorted(vars(m)), inspect.getsource(m)]""",
    "submodules": "import pkg, pkgutil; return [i.name for i in pkgutil.walk_packages(pkg.__path__, 'pkg.')"
    " if i.name != 'pkg.gone']",
    "cycle": "import pkg.cycle_a as m; return [m.late, sorted(vars(m))]",
    "module that replaces itself": "import pkg.replaces as m; return repr(m)",
    "failing import": """
        return [[failure("pkg." + n), "pkg." + n in sys.modules, n in vars(sys.modules["pkg"])]
                for n in ("fails", "chained", "imports_missing", "quits")]""",
    "absent module": """
        found = failure("pkg.gone")
        found.append(attempt(lambda: exec("from pkg import gone")))
        return found + ["pkg.gone" in sys.modules]""",
    "lazy imports": """
        try:
            import pkg.lazily as m
        except SyntaxError as error:  # before 3.15
            return error.msg
        return m.names""",
    "run_module": """
        import runpy
        sys.modules.pop("pkg.bare", None)
        return [sorted(runpy.run_module("pkg.bare", run_name=n)["FIRST"]) for n in (None, "other")]""",
    "doctest": """
        import contextlib, doctest, io, pkg.doctested as m
        with contextlib.redirect_stdout(io.StringIO()) as out:
            found = list(doctest.testmod(m))
        return [found, out.getvalue()]""",
}
"""What must be exactly the same: statements that return something."""

SAME_ON_DISK = {
    "lazy loader": """
        import importlib.util
        sys.modules.pop("pkg.present", None)
        spec = importlib.util.find_spec("pkg.present")
        spec.loader = importlib.util.LazyLoader(spec.loader)
        m = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(m)
        return [sorted(n for n in vars(m)), repr(m.f.__annotations__)]""",
    "encodings": """
        import pkg.latin, pkg.bom, pkg.dos
        found = []
        for m in pkg.latin, pkg.bom, pkg.dos:
            found += [m.text, attempt(inspect.getsource, m), inspect.getsourcelines(m.C), list(vars(m))]
        return found""",
    "reload compiles nothing": """
        import builtins, importlib, pkg.bare as m
        compiled, original = [], builtins.compile
        def spy(source, filename, *args, **kwargs):
            compiled.append(str(filename))
            return original(source, filename, *args, **kwargs)
        builtins.compile = spy
        try:
            importlib.reload(m)
        finally:
            builtins.compile = original
        return compiled""",
    "loaded by path under another name": """
        import importlib.util, pkg
        spec = importlib.util.spec_from_file_location("another", pkg.__path__[0] + "/bare.py")
        m = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(m)
        return [m.__name__, list(vars(m)), inspect.getsource(m)]""",
    "run_path": """
        import runpy, pkg
        path = pkg.__path__[0] + "/bare.py"
        found = runpy.run_path(path)
        return [sorted(found), found["FIRST"], found["__file__"]]""",
    "executed without __file__": """
        import pkg
        path = pkg.__path__[0] + "/bare.py"
        space = {}
        with open(path) as file:
            exec(compile(file.read(), path, "exec", dont_inherit=True), space)
        return [list(space), space["FIRST"]]""",
}
"""The same, where a module from a zip would have no file, no cache, or (in CPython) no source but UTF-8."""

MOVED = {
    "files of functions": """
        import pkg.sample as m
        things = m.function, m.Point.method, m.square
        return [f(o) for f in (inspect.getfile, inspect.getsourcefile) for o in things]""",
    "traceback": """
        import traceback, pkg.sample as m
        try:
            m.divide()
        except ZeroDivisionError:
            return traceback.format_exc().partition("in check")[2].splitlines()""",
    "traceback of a failing import": """
        import traceback
        try:
            import pkg.fails
        except ValueError as error:
            frames = traceback.extract_tb(error.__traceback__)
            dispatched = [f for f in frames if f.line and "__wheelfuse__()" in f.line]
            assert len(dispatched) == expected_dispatchers, frames
            return [[f.filename, f.lineno, f.name, f.line] for f in frames if f not in dispatched]""",
    "syntax error": """
        try:
            import pkg.broken
        except SyntaxError as e:
            place = [e.filename, e.lineno, e.offset, e.text]
            return [place, e.msg, repr(e.__context__), "pkg.broken" in sys.modules]""",
    "warning": """
        import warnings, pkg.sample as m
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            m.warn()
        return [[w.filename, w.lineno, str(w.message)] for w in caught]""",
}
"""What must be the same but for the name of the file: that of the variant."""

PROBE = """\
import inspect, json, sys, textwrap

def attempt(function, *args):
    try:
        return function(*args)
    except Exception as error:
        return [type(error).__name__, str(error)]

def failure(name):
    try:
        __import__(name)
    except BaseException as error:
        chain = [repr(error.__cause__), repr(error.__context__), error.__suppress_context__]
        return [repr(error), str(error), getattr(error, "name", None), getattr(error, "path", None), *chain]

checks, root, expected_dispatchers = json.load(sys.stdin)
sys.path.insert(0, root)
answers = {}
for name, body in checks.items():
    body = textwrap.dedent(body).replace("\\n", "\\n    ")
    space = {**globals()}
    exec("def check():\\n    " + body, space)
    try:
        answers[name] = {"returned": space["check"]()}
    except Exception as error:
        answers[name] = {"raised": repr(error)}
print(json.dumps(answers))
"""

RUNS = {
    "-m module": ("-m", "pkg.main", "argument"),
    "-m package": ("-m", "pkg.sub"),
    "path": ("pkg/main.py", "argument"),
    "-m failing module": ("-m", "pkg.fails"),
    "failing path": ("pkg/fails.py",),
    "-c failing import": ("-c", "import pkg.fails"),
    "-c syntax error": ("-c", "import pkg.broken"),
}

TARGETS = tuple(available())
for_targets = pytest.mark.parametrize("target", TARGETS, ids=str)


def variant_name(name: str, target: Target) -> str:
    return f"{name.removesuffix('.py')}.{target}.py"


def fused(target: Target) -> dict[str, bytes]:
    """The tree with dispatchers that run the right text on *target*, and fail on every other."""
    tree = dict(UNCHANGED)
    for path, text in DISPATCHED.items():
        parent, name = PurePosixPath(path).parent, PurePosixPath(path).name
        wrong = name.removesuffix("py") + "wrong.py"
        variants = {t: variant_name(name, t) if t == target else wrong for t in ALL_TARGETS}
        tree[path] = dispatcher(name, variants, default=wrong)
        tree[str(parent / variants[target])] = text
        tree[str(parent / wrong)] = b"raise AssertionError('the variant of another CPython')\n"
    tree[ABSENT] = dispatcher("gone.py", {**dict.fromkeys(ALL_TARGETS, "gone.wrong.py"), target: None})
    return tree


def write(tree: dict[str, bytes], root: Path) -> Path:
    for path, text in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text)
    return root


def write_zip(tree: dict[str, bytes], file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in tree.items():
            archive.writestr(path, text)
    return file


def execute(target: Target, *args: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(available()[target]), "-W", "error", *args]
    env = {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": "", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, timeout=120)


def ask(target: Target, root: Path, checks: dict[str, str], dispatchers: int) -> dict[str, Any]:
    done = execute(target, "-c", PROBE, cwd=Path("/"), stdin=json.dumps([checks, str(root), dispatchers]))
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout.replace(str(root), "<root>"))
    return answers


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """For a target the directories of the plain and of the fused tree, written once."""

    @cache
    def make(target: Target) -> tuple[Path, Path]:
        root = tmp_path_factory.mktemp(str(target))
        plain = write(UNCHANGED | DISPATCHED, root / "plain")
        return plain, write(fused(target), root / "fused")

    return make


@pytest.fixture(scope="module")
def answers(trees: Any) -> Any:
    """For a target and a kind of tree the answers of the plain and of the fused tree to all checks."""

    @cache
    def make(target: Target, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
        plain, with_dispatchers = trees(target)
        if kind == "zip":
            plain = write_zip(UNCHANGED | DISPATCHED, plain.with_suffix(".zip"))
            with_dispatchers = write_zip(fused(target), with_dispatchers.with_suffix(".zip"))
        checks = SAME | MOVED | (SAME_ON_DISK if kind == "directory" else {})
        return ask(target, plain, checks, 0), ask(target, with_dispatchers, checks, 1)

    return make


@for_targets
@pytest.mark.parametrize(
    ("kind", "check"),
    [*(("directory", check) for check in SAME | SAME_ON_DISK), *(("zip", check) for check in SAME)],
)
def test_module_behaves_as_before(answers: Any, target: Target, kind: str, check: str) -> None:
    plain, with_dispatcher = answers(target, kind)
    assert with_dispatcher[check] == plain[check]
    assert "returned" in plain[check]


@for_targets
@pytest.mark.parametrize("kind", ["directory", "zip"])
@pytest.mark.parametrize("check", MOVED)
def test_code_names_the_variant_as_its_file(answers: Any, target: Target, kind: str, check: str) -> None:
    plain, with_dispatcher = (json.dumps(answer[check]) for answer in answers(target, kind))
    assert f".{target}.py" in with_dispatcher
    assert with_dispatcher.replace(f".{target}.py", ".py") == plain
    assert plain.startswith('{"returned"')


@for_targets
@pytest.mark.parametrize("run", RUNS)
def test_program_behaves_as_before(trees: Any, target: Target, run: str) -> None:
    plain, with_dispatcher = (execute(target, *RUNS[run], cwd=tree) for tree in trees(target))
    plain_root, root = (str(tree) for tree in trees(target))
    assert plain.returncode not in (0, 2)
    assert with_dispatcher.returncode == plain.returncode
    assert with_dispatcher.stdout.replace(root, plain_root) == plain.stdout
    stderr, frames = FRAME_OF_DISPATCHER.subn("", with_dispatcher.stderr.replace(root, plain_root))
    assert stderr.replace(f".{target}.py", ".py") == plain.stderr
    assert frames == plain.stderr.count("Traceback") * (2 if "SyntaxError" in plain.stderr else 1)


FRAME_OF_DISPATCHER = re.compile(
    r"""  File ".*", line \d+, in (?:<module>|__wheelfuse__)
    (?:__import__\("builtins"\).exec\(__wheelfuse__\(\)\)|code = loader.get_code\(__name__\))
(?: +[~^]+
)?"""
)
"""A frame in a traceback with its line, which from 3.11 on may have another line that marks a part of it."""


@for_targets
def test_bytecode_of_the_variant_is_cached(answers: Any, trees: Any, target: Target) -> None:
    answers(target, "directory")
    cached = {path.name.partition(".cpython-")[0] for path in trees(target)[1].glob("pkg/__pycache__/*.pyc")}
    assert {"sample", f"sample.{target}"} <= cached


@for_targets
def test_other_pythons_get_the_default(tmp_path: Path, target: Target) -> None:
    others = {other: "m.wrong.py" for other in ALL_TARGETS if other != target}
    write({"m.py": dispatcher("m.py", others, "m.any.py"), "m.any.py": b"print(__name__)\n"}, tmp_path)
    assert execute(target, "-c", "import m", cwd=tmp_path).stdout == "m\n"


@for_targets
def test_other_pythons_get_an_import_error_without_default(tmp_path: Path, target: Target) -> None:
    others = {other: "m.wrong.py" for other in ALL_TARGETS if other != target}
    write({"m.py": dispatcher("m.py", others)}, tmp_path)
    code = "try:\n import m\nexcept ImportError as e:\n print(type(e).__name__, e.name, e.path, e, sep='|')"
    kind, name, path, message = execute(target, "-c", "" + code, cwd=tmp_path).stdout.split("|")
    assert (kind, name, Path(path).name) == ("ImportError", "m", "m.py")
    assert message.startswith(f"{target.soabi_tag}: this wheel has no variant of m.py for this Python")
    assert all(other.soabi_tag in message for other in others)


@for_targets
def test_build_counts_and_not_whether_the_gil_is_on(tmp_path: Path, target: Target) -> None:
    other = Target(target.minor, not target.free_threaded)
    tree = {"m.py": dispatcher("m.py", {target: "m.right.py", other: "m.wrong.py"})}
    write({**tree, "m.right.py": b"print('right')\n", "m.wrong.py": b"print('wrong')\n"}, tmp_path)
    assert execute(target, "-X", "gil=1", "-c", "import m", cwd=tmp_path).stdout == "right\n"


def test_dispatcher_is_deterministic() -> None:
    variants: dict[Target, str | None] = {t: f"m.{t}.py" for t in ALL_TARGETS}
    variants[Target(11)] = None
    backwards = dict(reversed(variants.items()))
    assert dispatcher("m.py", variants, "m.any.py") == dispatcher("m.py", backwards, "m.any.py")


@pytest.mark.parametrize(
    "name", ["m.py", "sch\u00f6n.py", "o'clock.py", 'quote".py', "100%s.py", "new\nline.py", "\U0001f600.py"]
)
def test_dispatcher_is_ascii_and_python_38_whatever_the_names_are(name: str) -> None:
    variant = f"{name}.cp310.py"
    text = dispatcher(name, {Target(10): variant, Target(11): None})
    assert text.isascii()
    strings = {
        node.value
        for node in ast.walk(ast.parse(text, feature_version=(3, 8)))
        if isinstance(node, ast.Constant)
    }
    assert variant in strings


def test_dispatcher_starts_with_a_comment_that_names_its_maker() -> None:
    first, second, third = dispatcher("m.py", {Target(10): "m.cp310.py"}).splitlines()[:3]
    assert first.startswith(b"# Written by wheelfuse: 'm.py'")
    assert second.startswith(b"# ")
    assert not third.startswith((b"#", b'"'))


@pytest.mark.parametrize(
    ("name", "variant", "default"),
    [
        ("m.py", "m.py", None),
        ("m.py", "m.cp310.py", "m.py"),
        ("m.py", "../m.cp310.py", None),
        ("pkg/m.py", "m.cp310.py", None),
        ("m.py", "", None),
        ("m.py", "m.cp310.py", "a/b.py"),
        ("m.py", None, None),
    ],
)
def test_names_that_cannot_work_are_refused(name: str, variant: str | None, default: str | None) -> None:
    with pytest.raises(ValueError, match=r"\.py|not a file name"):
        dispatcher(name, {Target(10): variant}, default)
