"""wheelfuse as it would be in a world with CPython 3.8 to 3.37: ``python -m bench.many_cpythons merge …``.

A merge takes as many inputs as there are CPythons, 15 today. To see how time grows up to 30, the list is made longer
before anything else is imported.
"""

from __future__ import annotations

import wheelfuse.target

wheelfuse.target.ALL_TARGETS = tuple(wheelfuse.target.Target(minor) for minor in range(8, 38))


def main() -> None:
    from wheelfuse.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
