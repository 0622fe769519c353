"""Many seeds, over processes."""

import multiprocessing
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

CHUNK = 20


class Result(NamedTuple):
    """Of one seed."""

    seed: int
    error: str
    happened: Counter[str]


def _begin() -> None:
    """Of a process that does nothing else, once."""
    import tests.simulation.seeds  # noqa: F401, PLC0415 - what is there from the beginning is looked through no more
    from stream.runtime.host import calm_collector  # noqa: PLC0415 - heavy, and only in the workers

    calm_collector()


def simulate(seeds: Sequence[int]) -> list[Result]:
    """In this process, one after the other."""
    from tests.simulation.seeds import play_seed  # noqa: PLC0415 - heavy, and only in the workers

    results = []
    for seed in seeds:
        try:
            results.append(Result(seed, "", play_seed(seed)))
        except Exception as error:  # noqa: BLE001 - whatever comes out is the finding
            text = "".join(traceback.format_exception(error, limit=-4))
            results.append(Result(seed, text, Counter()))
    return results


def campaign(first: int, last: int, processes: int) -> Iterator[Result]:
    """All seeds, as they are done."""
    chunks = [range(at, min(at + CHUNK, last)) for at in range(first, last, CHUNK)]
    if processes == 1:
        for chunk in chunks:
            for seed in chunk:
                yield from simulate([seed])
        return
    # Not forked: after thousands of tests a child would copy their memory, page by page, with every count of references.
    with multiprocessing.get_context("spawn").Pool(processes, _begin) as pool:
        for results in pool.imap_unordered(simulate, chunks):
            yield from results
