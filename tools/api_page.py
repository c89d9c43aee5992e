"""The page of the Python API, from its docstrings: docs/reference/api.md."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator

import wheelfuse

Function = ast.FunctionDef | ast.AsyncFunctionDef


def page() -> str:
    """The page: functions, then classes, each as it is written, without its body."""
    parts = [
        "<!-- Written by `make docs` (tools/api_page.py). Change the docstrings instead. -->",
        "# Python API",
        "Everything is in the package `wheelfuse`, is typed, and prints nothing. What raises, raises a\n"
        "[WheelfuseError](#wheelfuseerror), whose `problems` say what is wrong, where, and what to do.",
    ]
    objects = {name: getattr(wheelfuse, name) for name in wheelfuse.__all__ if not name.startswith("_")}
    functions = [name for name, value in objects.items() if inspect.isfunction(value)]
    for name in (*functions, *(name for name in objects if name not in functions)):
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(objects[name]))).body
        parts.append(f"## {name}")
        parts += _function(node) if isinstance(node, Function) else _class(node)
    return "\n\n".join(parts) + "\n"


def _function(node: Function) -> Iterator[str]:
    yield f"```py\n{_signature(node)}\n```"
    yield from _text(node)


def _class(node: ast.stmt) -> Iterator[str]:
    assert isinstance(node, ast.ClassDef)
    bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
    lines = [f"class {node.name}{bases}"]
    lines += [f"    {text}" for field in node.body if (text := _field(field))]
    yield "```py\n" + "\n".join(lines) + "\n```"
    yield from _text(node)
    yield from (
        _method(method) for method in node.body if isinstance(method, Function) and _is_public(method.name)
    )


def _method(node: Function) -> str:
    """A method or property in a paragraph, or more if its docstring has more."""
    kinds = {ast.unparse(decorator) for decorator in node.decorator_list}
    returns = f": {ast.unparse(node.returns)}" if node.returns else ""
    head = f"{node.name}{returns}" if kinds & {"property", "cached_property"} else _signature(node)
    first, *others = (*_text(node), "")
    return "\n\n".join(filter(None, (f"**`{' '.join(head.split())}`** {first}".rstrip(), *others)))


def _is_public(name: str) -> bool:
    return not name.startswith("_")


def _field(node: ast.stmt) -> str:
    """A field of a dataclass, or a member of an enumeration, as it is written; nothing for anything else."""
    if not isinstance(node, ast.AnnAssign | ast.Assign):
        return ""
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    if not isinstance(target, ast.Name) or not _is_public(target.id):
        return ""
    return re.sub(r" = field\(default_factory=(\w+)\)", r" = \1()", ast.unparse(node))


def _signature(node: Function) -> str:
    """One line, or one for each parameter if that is too long for a page."""
    arguments = node.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments.args = arguments.args[1:]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    parts = re.split(r", (?![^\[(]*[\])])", ast.unparse(arguments)) if ast.unparse(arguments) else []
    each = [re.sub(r"^(\w+: [^=]+)=", r"\1 = ", part) for part in parts]
    line = f"{node.name}({', '.join(each)}){returns}"
    if len(line) <= 90:
        return line
    return "\n".join((f"{node.name}(", *(f"    {one}," for one in each), f"){returns}"))


def _text(node: Function | ast.ClassDef) -> Iterator[str]:
    """The paragraphs of the docstring; what it raises as a list."""
    for paragraph in filter(
        None, re.split(r"\n\s*\n", re.sub(r":\w+:(?=`)", "", ast.get_docstring(node) or ""))
    ):
        head, _, rest = paragraph.partition("\n")
        if head == "Raises:":
            items = re.split(r"\n(?=\S)", textwrap.dedent(rest))
            yield "Raises:\n\n" + "\n".join(map(_raised, items))
        else:
            yield paragraph


def _raised(item: str) -> str:
    name, _, why = item.partition(":")
    return f"- `{name}`: {' '.join(why.split())}"
