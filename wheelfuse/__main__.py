"""``python -m wheelfuse``, and ``wheelfuse``."""

import os
import signal
import sys


def run() -> None:
    """Run the command line and exit."""
    _open_standard_streams()
    # While it loads there is nothing to put in order: an interrupt just ends it, without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from wheelfuse.cli import main

    main()


def _open_standard_streams() -> None:
    """Those that the caller closed lead nowhere: or else the first file that is opened gets what is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this
            os.set_inheritable(opened, True)
            setattr(sys, name, os.fdopen(opened, "r" if number == 0 else "w"))


if __name__ == "__main__":
    run()
