"""One tree's trial, in a process of its own: what it says in peace, then seeds until one fails. Prints JSON lines.

``python -m tests.simulation.mutants.trial CALM FIRST:STOP``, with the packages of that tree first on the path. A mutant that
differs already in peace shows without the simulator, and one that fails there is caught by every test there is.
"""

import hashlib
import json
import sys
from dataclasses import replace
from unittest import mock

from stream.records import OUTPUTS
from stream.runtime.host import calm_collector
from tests.simulation import clients
from tests.simulation.history import draw_history
from tests.simulation.play import Play
from tests.simulation.seeds import play_seed


def said(seed: int) -> str:
    """A digest of all that an uninterrupted worker says of the records of a seed's history."""
    peace = replace(
        draw_history(seed), delivery="exactly_once", fed=True, workers=1, batch_records=1000, checkpoint_records=None,
        actions=[], faults={},
    )  # fmt: skip
    with mock.patch("stream.pipeline.waiting.BLOCK", 16):
        play = Play(peace)
        with clients.installed(lambda: play.broker.now):
            play.run()
    everything = [
        [(slot.key, slot.value, slot.headers) for slot in play.broker.committed(name, task)]
        for task in play.tasks
        for name in OUTPUTS
    ]
    return hashlib.sha256(repr(everything).encode()).hexdigest()[:16]


def told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def peace(seeds: int) -> str:
    """Of the first seeds together, or what it failed with."""
    try:
        return " ".join(said(seed) for seed in range(seeds))
    except Exception as error:  # noqa: BLE001 - whatever comes out is the finding
        return told(error)


def main() -> None:
    calm_collector()
    print(json.dumps({"peace": peace(int(sys.argv[1]))}), flush=True)
    for seed in range(*map(int, sys.argv[2].split(":"))):
        try:
            play_seed(seed)
        except Exception as error:  # noqa: BLE001 - as above
            print(json.dumps({"seed": seed, "why": told(error)}), flush=True)
            return
        print(json.dumps({"passed": seed}), flush=True)
    print(json.dumps({"seed": None, "why": ""}))


if __name__ == "__main__":
    main()
