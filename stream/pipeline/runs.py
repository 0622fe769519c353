"""Runs of events in which nothing odd happens, arranged all at once: with NumPy, for a fraction of the cost an event.

What they do is what join.py does event by event; where anything else could come between, they do nothing and say so.
"""

import numpy as np
from numpy.typing import NDArray

from stream.codec import Events
from stream.pipeline.batch import Draft
from stream.pipeline.clock import NEVER, Clock
from stream.pipeline.due import Due
from stream.pipeline.waiting import WaitingRows


def plain_times(events: Events, start: int, stop: int, clock: Clock) -> NDArray[np.int64] | None:
    """Times of a run in which nothing is refused, every label is there, and times neither fall nor leap; else None."""
    now, labels = clock.stream_time_ms, events.labels
    if events.rejects or events.tombstones or now == NEVER or start == stop:
        return None
    oldest, newest = events.times_ms[start], events.times_ms[stop - 1]
    if not now <= oldest <= newest or newest - now > clock.jump_max_ms:
        return None
    times = np.array(events.times_ms[start:stop], np.int64)
    if (times[1:] < times[:-1]).any() or (labels is not None and None in labels):
        return None
    return times


def arrange_delayed(
    draft: Draft,
    rows: WaitingRows,
    due: Due,
    events: range,
    times_ms: NDArray[np.int64],
    position: int,
    former: int,
    status: int,
) -> None:
    """Write a run of events into the program, and before each the labels that are due by its time, which get ``status``.

    Only rows of earlier batches fall due: the caller sees to it that none of the run does.
    """
    stop = rows.seen_by(due.next, int(times_ms[-1]) - due.after_ms)
    numbers, own_ms, seen_ms, truths = rows.label(due.next, stop, former, status)
    due.next = stop
    # of each label, the first event at or after the time at which it is due
    before = np.searchsorted(times_ms, seen_ms + due.after_ms)
    known = draft.old
    places = np.arange(len(known), len(known) + len(numbers))
    known.update(zip(numbers.tolist(), places.tolist(), strict=True))
    draft.ages_ms += (times_ms[before] - own_ms).tolist()
    draft.delayed_run(events, times_ms, position, -1 - places, truths, before)
