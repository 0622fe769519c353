"""What arguments of several verbs have in common."""

import argparse


def count(text: str) -> int:
    """A number from 1 on; ``1_000`` is 1000."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return number
