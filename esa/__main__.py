"""The entry point of the `esa` command, and of `python -m esa`."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command that the process's arguments name, and exit."""
    # While modules are imported an interrupt ends the process at once, as it does any other program.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from esa.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
