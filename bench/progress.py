"""Tells the person who waits what is being measured, on stderr. Results never go there."""

import sys


def say(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)
