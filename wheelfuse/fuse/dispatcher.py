"""A dispatcher: the small Python file that stands where the inputs have a module of different bytes.

The fused wheel carries each variant beside it, under a name with a dot in the stem, such as
``version.cp310.cp311.py``, which no import statement and no ``pkgutil`` finds. The dispatcher runs the
variant of the running CPython in its own namespace, so that the module is the one that the wheel of this
CPython alone would give: same ``__name__``, ``__file__``, ``__spec__`` and names, compiled with its own
``__future__`` imports and encoding, and cached in ``__pycache__``. ``importlib.reload``, ``python -m``,
packages and imports from a zip work as before.

Two decisions:

- Code objects carry the file name of the variant. Tracebacks, debuggers, coverage and warnings then name
  the file that holds the line: the traceback printer in C (before 3.13) and coverage open that file
  themselves, and would show lines of the dispatcher otherwise. So ``inspect.getfile`` of a function is the
  variant.
- Modules and classes know their source by ``__file__`` alone, so ``linecache`` is told that the lines of
  ``__file__`` are those of the variant, which are read when somebody asks. So ``inspect.getsource`` works.

What cannot be as before, since the import system runs the file at the old path and nothing else:

- One frame more, that of the dispatcher, lies under the module-level code of the variant. It shows in
  tracebacks of a failing import, in ``sys._getframe(1)``, and in ``warnings.warn(..., stacklevel=2)`` at
  module level, which names the dispatcher instead of the importer.
- ``inspect.getmodule`` of a bare frame or code object is None: it looks for a module with the same
  ``__file__``.
- ``__loader__.get_source`` and ``get_code`` answer for the dispatcher, and so does ``inspect.getsource`` of
  a module or class after ``linecache.clearcache()``. Import hooks that rewrite source (pytest's assertions)
  and tools that read files (type checkers, freezers) see the dispatcher.
- A variant is read as source and cached; a deployment that keeps only ``.pyc`` files cannot import it.
- A module that the wheel of one CPython does not have still has a file. Its import fails as if it were
  absent, but ``importlib.util.find_spec`` finds it, ``python -m`` prints a traceback, a module of this name
  later on ``sys.path`` stays hidden, and a directory with a dispatcher as ``__init__.py`` is no namespace
  package.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Template

from wheelfuse.target import Target

# The whole dispatcher must be ASCII, run on CPython 3.8, and have neither a docstring, since that would
# become the __doc__ of a variant without one, nor an import or name at module level, since it would appear
# in the module. `sys.abiflags` has the t of a free-threaded build on every POSIX system, whether or not the
# GIL is on, and costs nothing, while sysconfig must be imported. It was missing on Windows, where this
# rather fails than guesses.
_HEAD = Template("""\
# Written by wheelfuse: $name differs between the CPythons of this wheel; its variants lie beside this file.
# This runs the variant of the running CPython in the namespace of this module, as if its text stood here.
def __wheelfuse__():
    global __wheelfuse__
    del __wheelfuse__
    import linecache, os.path, sys
    # on a reload, these names may be those of the variant
    from builtins import ImportError, ModuleNotFoundError, getattr, globals, tuple
    from importlib.machinery import ModuleSpec, SourceFileLoader

    file = globals().get("__file__") or sys._getframe().f_code.co_filename
    python = "%s-%d%d%s" % (sys.implementation.name, *sys.version_info[:2], "t" * ("t" in sys.abiflags))
    variants = {
$variants
    }
""")

_OTHERS_RUN = Template("""\
    variant = variants.get(python, $default)
""")

_OTHERS_FAIL = Template("""\
    if python not in variants:
        raise ImportError(python + $message, name=__name__, path=file)
    variant = variants[python]
""")

_ABSENT = """\
    if variant is None:
        name = getattr(__spec__, "name", __name__)
        raise ModuleNotFoundError("No module named %r" % name, name=name)
"""

_TAIL = """\
    path = os.path.join(os.path.dirname(file), variant)
    loader = SourceFileLoader(__name__, path)
    # read it as this file was read, maybe from a zip
    loader.get_data = getattr(getattr(__spec__, "loader", None), "get_data", loader.get_data)
    code = loader.get_code(__name__)

    class Lines(tuple):  # an entry of the cache: size, mtime, lines, name
        def __getitem__(self, index):
            return linecache.getlines(path)

    spec = ModuleSpec(__name__, loader)
    linecache.lazycache(path, {"__name__": __name__, "__loader__": loader, "__spec__": spec})
    linecache.cache[file] = Lines((0, None, [], file))
    return code


try:
    __import__("builtins").exec(__wheelfuse__())
except:  # so that the traceback shows the line above, and none of the variant
    __import__("linecache").cache.pop(globals().get("__file__"), None)
    raise
"""


def dispatcher(name: str, variants: Mapping[Target, str | None], default: str | None = None) -> bytes:
    """The source of the dispatcher *name*: ASCII, for CPython 3.8 and later, the same for equal arguments.

    Args:
        name: file name of the dispatcher, the one that the module has in the inputs: ``version.py``.
        variants: file name of the variant of each target, in the directory of the dispatcher; None where the
            inputs of this target have no such module, so that importing it raises ModuleNotFoundError.
        default: file name of the variant for every other Python (that of an abi3 or pure Python input); with
            None, importing the module there raises ImportError.

    Raises:
        ValueError: there is no variant, a name is no plain file name, or a variant has the name of *name*.
    """
    files = {file for file in (*variants.values(), default) if file is not None}
    for file in (name, *sorted(files)):
        if file in ("", ".", "..") or "/" in file or "\0" in file:
            raise ValueError(f"{file!r} is not a file name in the directory of the dispatcher")
    if not files:
        raise ValueError(f"{name!r} has no variant")
    if name in files:
        raise ValueError(f"{name!r} is the name of the dispatcher and of a variant")
    entries = "\n".join(f'        "{target.soabi_tag}": {variants[target]!a},' for target in sorted(variants))
    if default is None:
        known = ", ".join(target.soabi_tag for target in sorted(variants) if variants[target] is not None)
        message = f": this wheel has no variant of {name} for this Python, only for {known}"
        choice = _OTHERS_FAIL.substitute(message=ascii(message))
    else:
        choice = _OTHERS_RUN.substitute(default=ascii(default))
    absent = _ABSENT if None in variants.values() else ""
    return (_HEAD.substitute(name=ascii(name), variants=entries) + choice + absent + _TAIL).encode("ascii")
