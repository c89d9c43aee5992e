"""All targets, by name."""

from __future__ import annotations

from fuzz.target import Target
from fuzz.targets import shared_objects, texts, wheels

TARGETS: dict[str, Target] = {
    target.name: target for target in (*wheels.TARGETS, *texts.TARGETS, *shared_objects.TARGETS)
}
