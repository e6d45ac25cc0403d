"""The command `batchwire`, also as `python -m batchwire.service`: what holds for whatever it is told to do.

Imports next to nothing itself, so that Ctrl-C while everything else is imported, and a core that is not compiled, end
in no traceback.
"""

import os
import signal
import sys


def main() -> None:
    """Runs the command line; ends the process."""
    # Python's own handler raises KeyboardInterrupt, which modules in C turn into errors of theirs while they are
    # imported. A command that has something to tidy up or to tell installs a handler of its own when it begins.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    # The first process of a container is sent no signal that it has no handler for: this one would be lost.
    if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _leave)
    try:
        from .cli import main as command
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("batchwire.core"):
            raise
        sys.exit(f"batchwire: the core is not compiled ({error.name} is missing): run `make build`")
    try:
        command()
    except OSError as error:
        # What has no name was written to standard output: everything else is told where it is opened.
        words = f"{error.filename or 'standard output'}: {error.strerror or error}"
        _forget_output()
        sys.exit(f"batchwire: {words}")


def _leave(number: int, *_: object) -> None:
    os._exit(128 + number)  # as shells have it: 130 after Ctrl-C, 143 after SIGTERM


def _forget_output() -> None:
    """What is still in the buffer of standard output would be tried once more, and fail, at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    main()
