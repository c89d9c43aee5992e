"""``python -m wheelfuse``."""

from wheelfuse.cli import main

main()
