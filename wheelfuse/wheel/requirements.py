"""The requirements that METADATA states (Requires-Dist in core metadata; PEP 508), as far as they mean anything.

`packaging` reads some markers that it cannot evaluate, and (before 26.3) some that it cannot write. How long and how
many requirements may be is for `wheelfuse.wheel.metadata` to say, which reads the fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement

from wheelfuse.wheel.metadata import Headers

_LITERAL = re.compile(r"""("[^"]*")|('[^']*')""")
_ESCAPED = (
    "whose marker has a backslash: packaging takes it for an escape, uv for a letter, and PEP 508 has none"
)
_UNLIKE_A_VERSION = {"extra": "", "platform_release": "any"}
"""Where most is undefined. Of what differs by machine, only what may be compared as versions matters for that."""


def read_requirement(text: str) -> Requirement:
    """One requirement, whose marker any machine can evaluate.

    Raises:
        InvalidRequirement: it is none, its marker compares what cannot be compared, or has quotes within quotes.
    """
    requirement = Requirement(text)
    if requirement.marker is None:
        return requirement
    if any('"' in (single or "") for _, single in _LITERAL.findall(text)):
        # packaging below 26.3 writes it within double quotes, as another marker
        raise InvalidRequirement("its marker has double quotes within single ones, which no value has")
    if why := _why_meaningless(requirement.marker):
        raise InvalidRequirement(why)
    if "\\" in text:
        raise InvalidRequirement(_ESCAPED)
    return requirement


@lru_cache(1 << 12)  # the wheels of a release have the same ones
def why_refused(text: str) -> str:
    """Why a wheel with this requirement is refused, or nothing: pip does, be it installed with its dependencies or
    without, or reads it otherwise than uv."""
    try:
        marker = Requirement(text).marker
    except InvalidRequirement as error:
        return f"which pip refuses: {str(error).partition(chr(10))[0]}"
    if marker and (why := _why_meaningless(marker)):
        return f"which pip refuses: {why}"
    return _ESCAPED if marker and "\\" in text else ""


def _why_meaningless(marker: Marker) -> str:
    try:
        marker.evaluate(_UNLIKE_A_VERSION)
    except (ValueError, KeyError) as error:  # packaging below 26.3 has no error of its own for unknown names
        return f"its marker cannot be evaluated: {error}"
    return ""


def requirements_of(metadata: Headers) -> tuple[Requirement, ...]:
    """Those that can be read; that there are others is a contradiction of the wheel."""
    return tuple(_readable(metadata))


def _readable(metadata: Headers) -> Iterator[Requirement]:
    for header in metadata.get_all("Requires-Dist"):
        try:
            yield read_requirement(header.flat)
        except InvalidRequirement:
            continue
