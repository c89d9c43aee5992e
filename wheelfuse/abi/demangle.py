"""C++ symbols for people: the readable form, and the qualified name (Itanium C++ ABI, chapter 5.1).

Demangling is left to the C++ run-time library of this machine (``__cxa_demangle``), which knows every form that
compilers emit; libraries in Python know only part of the grammar. It serves display alone: a machine without a C++
library (a slim container image) sees mangled names, and no verdict changes. Qualified names, by which symbols are
grouped, are read here without it.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import log

from wheelfuse.escape import as_bytes

_LIBRARIES = ("libstdc++.so.6", "libc++abi.so.1", "libc++abi.dylib")

_SPECIAL = re.compile(r"_Z(?:T[VTISW]|T[hv]n?\d+_(?:n?\d+_)?|G[VR])?Z*")
"""What stands before a name: virtual table, type information, thunk, guard variable, local entity."""

_REFERENCE = re.compile(r"[ST][0-9A-Z]{0,3}_")
"""Stands for a part of the name that was there before (substitution), or for an argument of a template."""
_PACK_EXPANSION = "Dp"
_LONGEST, _MOST_LETTERS = 4 << 10, 1 << 20
"""Of a mangled name that is given to the C++ library, and of what that may make of it."""

_IDENTIFIER = re.compile(r"[1-9]\d{0,17}")
_ABI_TAG = re.compile(r"B[1-9]\d{0,17}")
_MEMBER = re.compile(r"[CD][0-9I]|[a-z][a-zA-Z]|I")
"""Constructor, destructor, operator, or template arguments: here reading stops."""

_SHORT = (
    (re.compile(r"std::(?:__cxx11::)?basic_string<char, std::char_traits<char>, std::allocator<char> ?>"),
     "std::string"),
    (re.compile(r"std::basic_string_view<char, std::char_traits<char> ?>"), "std::string_view"),
    (re.compile(r"std::basic_ostream<char, std::char_traits<char> ?>"), "std::ostream"),
    (re.compile(r"std::vector<([^<>]+), std::allocator<\1> ?>"), r"std::vector<\1>"),
    (re.compile(r"c10::intrusive_ptr<([^<>]+), c10::detail::intrusive_target_default_null_type<\1> ?>"),
     r"c10::intrusive_ptr<\1>"),
)  # fmt: skip


@dataclass(frozen=True)
class QualifiedName:
    """Whose a symbol is: the namespaces and classes around it, and its own name.

    ``own`` is empty where the symbol belongs to the last scope itself: constructors, operators, virtual tables.
    """

    scopes: tuple[str, ...]
    own: str

    def __str__(self) -> str:
        return "::".join(filter(None, (*self.scopes, self.own)))


def demangle(symbol: str) -> str:
    """The readable form of a C++ symbol, standard types shortened.

    Symbols that are none, and all on a machine without a C++ library, are returned as they are. Of those that may
    become endlessly long only the qualified name is read.
    """
    if not symbol.startswith("_Z"):
        return symbol
    if _may_grow(symbol):
        return str(qualified_name(symbol)) or symbol
    text = _demangler()(symbol)
    for pattern, short in _SHORT:
        text = pattern.sub(short, text)
    return text


def qualified_name(symbol: str) -> QualifiedName:
    """The qualified name of a C++ symbol as far as it can be read without template arguments.

    ``_ZN2at10TensorBase8data_ptrIfEEPT_v`` gives ``at::TensorBase::data_ptr``. A symbol of C has only its own name.
    """
    special = _SPECIAL.match(symbol)
    if not special:
        return QualifiedName((), symbol)
    rest, names = symbol[special.end() : special.end() + _LONGEST], []
    nested = re.match(r"N[rVK]*[RO]?", rest)
    rest = rest[nested.end() :] if nested else rest
    if rest.startswith("St"):
        names, rest = ["std"], rest[2:]
    while match := _IDENTIFIER.match(rest):
        end = match.end() + int(match[0])
        names.append(rest[match.end() : end])
        rest = rest[end:]
        while tag := _ABI_TAG.match(rest):
            rest = rest[tag.end() + int(tag[0][1:]) :]
        if not nested:
            break
    ends_in_scope = special[0].startswith(("_ZTV", "_ZTI", "_ZTS", "_ZTT")) or (
        nested and _MEMBER.match(rest) and not rest.startswith("I")
    )
    if ends_in_scope or not names:
        return QualifiedName(tuple(names), "")
    return QualifiedName(tuple(names[:-1]), names[-1])


def _may_grow(symbol: str) -> bool:
    """Whether the readable form may be too long: references may be to parts that have references, and so on.

    With so many of them no part is repeated more often than if every third began a part that has three of the part
    before: three is the best base for the largest product of numbers with a given sum. A pack expansion repeats what
    it stands before for each argument, of which there are no more than letters.
    """
    if len(symbol) > _LONGEST:
        return True
    references, packs = len(_REFERENCE.findall(symbol)), symbol.count(_PACK_EXPANSION)
    return (packs + 1) * log(len(symbol)) + references / 3 * log(3) > log(_MOST_LETTERS)


@cache
def _demangler() -> Callable[[str], str]:
    """What asks the C++ library of this machine; without one, a function that changes nothing."""
    for name in _LIBRARIES:
        try:
            function = ctypes.CDLL(name).__cxa_demangle
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_void_p
        function.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))
        free = ctypes.CDLL(None).free
        free.argtypes = (ctypes.c_void_p,)
        return lambda symbol: _ask(function, free, symbol)
    return lambda symbol: symbol


def _ask(function: Callable[..., int | None], free: Callable[[int], None], symbol: str) -> str:
    status = ctypes.c_int()
    found = function(as_bytes(symbol), None, None, ctypes.byref(status))
    if not found:
        return symbol
    try:
        return ctypes.string_at(found).decode("utf-8", "surrogateescape")
    finally:
        free(found)
