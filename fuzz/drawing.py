"""Examples of a strategy by number: the same for one seed, whatever was drawn before."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

_CHOICES = 1 << 13
"""Bytes that decide about one example. One that wants more is drawn again from others."""


def drawer(strategy: SearchStrategy[bytes], name: str, seed: int) -> Callable[[int], bytes]:
    """The function from a number to the example of that number."""
    drawn: list[bytes] = []

    @settings(database=None, deadline=None)
    @given(strategy)
    def take(example: bytes) -> None:
        drawn.append(example)

    def draw(number: int) -> bytes:
        source = random.Random(f"{seed}/{name}/{number}")
        drawn.clear()
        while not drawn:
            take.hypothesis.fuzz_one_input(source.randbytes(_CHOICES))  # type: ignore[attr-defined]
        return drawn[-1]

    return draw
