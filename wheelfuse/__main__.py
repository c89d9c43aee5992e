"""``python -m wheelfuse``, and ``wheelfuse``."""

import signal


def run() -> None:
    """Run the command line and exit."""
    # While it loads there is nothing to put in order: an interrupt just ends it, without a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from wheelfuse.cli import main

    main()


if __name__ == "__main__":
    run()
