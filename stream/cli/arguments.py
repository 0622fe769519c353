"""What arguments of several verbs have in common."""

import argparse
import math


def count(text: str) -> int:
    """A number from 1 on; ``1_000`` is 1000."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return number


def per_second(text: str) -> float:
    """How many a second: a finite number above 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return number
