"""``headrace explain``: why an event got the answer that it got, on the model of that moment; and what another would have got.

It reads only. Exit code 0: here it is; 1: there is no such event, or what was emitted is not what follows from the records.
Going back and asking is replay/explain.py's, finding an id replay/search.py's.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from learners.base import Value
from stream.cli.checkpoints import instant
from stream.cli.headway import Headway
from stream.cli.history import add_reading, open_history, tasks_asked, text_of
from stream.cli.output import age, print_json, table
from stream.config import Config, load
from stream.errors import ConfigError
from stream.replay.explain import Explain, Explained, answer_of, changes_of
from stream.replay.search import Occurrence, events_of
from stream.replay.travel import Past
from stream.runtime.host import calm_collector

BAR = 24
"""Characters of the longest contribution."""


class Answer(NamedTuple):
    """What a learner says of a row."""

    score: float | None
    prediction: bool | float | str | None


class WhatIf(NamedTuple):
    """Changed features, and every learner's answer with them."""

    changes: dict[str, Value | None]
    answers: dict[str, Answer]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the configuration")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--event", metavar="ID", help="the event with this id: searched for in the events, which takes a while"
    )
    which.add_argument("--at", type=int, metavar="OFFSET", help="the event at this offset: found at once")
    parser.add_argument(
        "--task", type=int, metavar="N", help="the event's partition (default: the only one; for --event all)"
    )
    parser.add_argument(
        "--what-if", action="append", default=[], metavar="NAME=VALUE",
        help="what it would have said had this feature been another; may be given several times",
    )  # fmt: skip
    add_reading(parser, "page")


def run(arguments: argparse.Namespace) -> int:
    """Find it, go back to it, tell. Raises HeadraceError."""
    config = load(arguments.config, os.environ)
    calm_collector()
    with ExitStack() as stack:
        past = open_history(config, arguments, stack)
        found = _find(past, arguments)
        if found is None:
            print(f"headrace: there is no event {arguments.event!r} in {_events(config)}", file=sys.stderr)
            return 1
        task, offset, others = found
        headway = Headway("folded", quiet=arguments.quiet)
        try:
            travel = stack.enter_context(closing(past.task(task)))
            explain = Explain(task, travel, lambda name: past.output(name, task), headway.tell)
            told = explain.at(offset)
        finally:
            headway.done()
        what_if = _what_if(told, arguments.what_if)
    if arguments.json:
        print_json(facts(told, what_if, others))
    else:
        for line in page(told, what_if, others):
            print(line)
    return 1 if told.differs or told.outcome == "absent" else 0


def _find(past: Past, arguments: argparse.Namespace) -> tuple[int, int, list[Occurrence]] | None:
    """Task and offset; and where else that id stands."""
    if arguments.at is not None:
        if arguments.task is None and past.tasks > 1:
            raise ConfigError(f"--at: offset {arguments.at} of which partition?", "name it with --task N")
        if arguments.at < 0:
            raise ConfigError("--at: offsets count from 0")
        return tasks_asked(past, arguments.task or 0)[0], arguments.at, []
    headway = Headway("searched", quiet=arguments.quiet)
    try:
        for task in tasks_asked(past, arguments.task):
            with closing(past.task(task)) as travel:
                found = events_of(travel.log, travel.fresh(), arguments.event, headway.tell)
            if found:
                first = next((one for one in found if one.refused is None), found[0])
                return task, first.offset, [one for one in found if one is not first]
    finally:
        headway.done()
    return None


def _what_if(told: Explained, words: Sequence[str]) -> WhatIf | None:
    if not words:
        return None
    if told.moment is None:
        raise ConfigError("--what-if needs an event that was scored")
    changes = changes_of(told.moment, words)
    scores = told.moment.what_if(changes)
    return WhatIf(
        changes, {name: Answer(*answer_of(told.moment, one, told.thresholds[name])) for name, one in scores.items()}
    )


def _answers(told: Explained) -> dict[str, Answer]:
    if told.moment is None:
        return {}
    scores = told.moment.scores()
    return {name: Answer(*answer_of(told.moment, one, told.thresholds[name])) for name, one in scores.items()}


def _events(config: Config) -> str:
    return config.events.topic or ", ".join(config.events.file or ())


# --- for people ----------------------------------------------------------------------------------------------------------


def page(told: Explained, what_if: WhatIf | None, others: Sequence[Occurrence]) -> Iterator[str]:
    """The whole story in lines."""
    yield from _headline(told)
    for one in others:
        yield (
            f"  the same id stands at offset {one.offset:,} too"
            + (": refused" if one.refused else "")
            + f" (--at {one.offset})"
        )
    if told.moment is None:
        return
    yield ""
    yield from _reasons(told)
    yield ""
    yield from _learners(told, what_if)
    yield ""
    yield from _label(told)
    yield from _age(told)


def _headline(told: Explained) -> Iterator[str]:
    where = f"{told.topic}/{told.partition} offset {told.offset:,}"
    name = f"event {told.id}" if told.id else f"the record at {where}"
    says = {
        "waiting": f"is not applied yet, or not there: the journal has come to offset {told.applied:,}",
        "before": "is from before this journal, so nothing is known of it",
        "absent": "is not there: no record stands at this offset",
        "tombstone": "is a tombstone: counted, and passed over",
        "duplicate": "is a duplicate: an event with this id was accepted before, so it was counted and dropped",
        "refused": "was refused",
        "unanswered": "was accepted, but got no prediction",
    }
    if told.outcome == "scored":
        answer = _answers(told)[told.moment.champion]  # type: ignore[union-attr]
        yield f"{name}: prediction {_plain(answer.prediction)}, score {_number(answer.score)}{_threshold(told)}"
    else:
        yield f"{name} {says[told.outcome]}"
    if told.refused is not None:
        yield f"  {told.refused.reason} ({told.refused.stage}): {told.refused.error}"
    if told.time_ms is not None and told.id:
        yield f"  {instant(told.time_ms)}, key {told.key}"
    if told.entry is not None:
        applied = f"; {told.records:,} records were applied before it" if told.records is not None else ""
        yield f"  {where}; journal entry {told.entry} (offset {told.journal_offset:,}){applied}"
        yield f"  folded again from {told.begun}: {told.folded:,} records"
    if told.prediction is not None:
        yield from _emitted(told)
    if told.raw is not None and told.moment is None:
        yield f"  {told.raw.decode(errors='backslashreplace')[:500]}"


def _emitted(told: Explained) -> Iterator[str]:
    assert told.prediction is not None
    if told.emitted is None:
        yield f"  what was emitted (seq {told.seq:,}) is no longer in {told.emitted_at}"
    elif told.differs:
        yield f"  DIFFERENT from what was emitted ({told.emitted_at} offset {told.emitted_offset:,}, seq {told.seq:,}):"
        yield f"    folded  {told.prediction.decode(errors='backslashreplace')}"
        yield f"    stands  {told.emitted.value.decode(errors='backslashreplace')}"
    else:
        yield f"  the same bytes were emitted: {told.emitted_at} offset {told.emitted_offset:,}, seq {told.seq:,}"


def _threshold(told: Explained) -> str:
    held = _threshold_of(told)
    return "" if held is None else f" (threshold {held:g})"


def _threshold_of(told: Explained) -> float | None:
    """What the answer was held against, where it was a yes or a no."""
    if told.moment is None or told.moment.problem not in {"binary", "anomaly"}:
        return None
    held = told.thresholds[told.moment.champion]
    return held if math.isfinite(held) else None


def _reasons(told: Explained) -> Iterator[str]:
    moment = told.moment
    assert moment is not None
    why = told.explanations.get(moment.champion)
    if why is None:
        yield f"why: {moment.champion} gives no finite score, so there is nothing to explain"
        yield table(
            [{"feature": name, "value": _plain(value)} for name, value in moment.features.items()], ("feature", "value")
        )
        return
    largest = max(map(abs, why.contributions.values()), default=0.0)
    rows: list[dict[str, object]] = [
        {
            "feature": name, "value": _plain(moment.features.get(name)), "adds": f"{amount:+.4f}",
            "": ("+" if amount > 0 else "-") * round(BAR * abs(amount) / largest) if largest else "",
        }
        for name, amount in why.top(len(why.contributions))
    ]  # fmt: skip
    for name, amount, note in (("(base)", why.base, ""), ("(sum)", why.value, _scale(why.of))):
        rows.append({"feature": name, "value": "", "adds": f"{amount:+.4f}", "": note})
    compared = (
        f", compared with {len(moment.background)} recent events" if why.method == "shapley_sampling" else ", exact"
    )
    yield f"why, by {moment.champion}: what each feature adds, in {why.of.replace('_', ' ')} ({why.method}{compared})"
    yield table(rows, ("feature", "value", "adds", ""))


def _scale(of: str) -> str:
    return {"log_odds": "score = 1 / (1 + exp(-sum))", "log": "score = exp(sum)"}.get(of, "= score")


def _learners(told: Explained, what_if: WhatIf | None) -> Iterator[str]:
    moment = told.moment
    assert moment is not None
    columns = ["learner", "role", "score", "prediction"]
    rows = []
    for name, answer in _answers(told).items():
        role = "champion" if name == moment.champion else "challenger"
        if name in moment.frozen:
            role += f", frozen: {moment.frozen[name]}"
        row: dict[str, object] = {
            "learner": name, "role": role, "score": _number(answer.score), "prediction": _plain(answer.prediction),
        }  # fmt: skip
        if what_if is not None:
            other = what_if.answers[name]
            row |= {"score then": _number(other.score), "prediction then": _plain(other.prediction)}
        rows.append(row)
    if what_if is not None:
        columns += ["score then", "prediction then"]
        changed = ", ".join(
            f"{name} {_plain(value)} in place of {_plain(moment.features.get(name))}"
            for name, value in what_if.changes.items()
        )
        yield f"what if: {changed} (computed features as they stood)"
    yield table(rows, columns)


def _label(told: Explained) -> Iterator[str]:
    label = told.label
    if label is None:
        yield "label: none has come"
    elif label.how == "in the event":
        yield f"label: {_plain(label.value)}, in the event itself"
    elif label.how == "met at once":
        yield f"label: {_plain(label.value)}, met the event at once"
    else:
        late = ""
        if label.time_ms is not None and told.time_ms is not None:
            late = f", {age((label.time_ms - told.time_ms) / 1000)} after the event"
        at = instant(label.time_ms) if label.time_ms is not None else "?"
        yield f"label: {_plain(label.value)}, of {at}{late} ({label.where} offset {label.offset:,})"


def _age(told: Explained) -> Iterator[str]:
    assert told.age is not None
    assert told.moment is not None
    lived = f"{told.age.records:,} records"
    if told.age.stream_ms is not None:
        lived += f" and {age(told.age.stream_ms / 1000)} of stream time"
    yield f"model: {told.moment.champion} was {lived} old, since {told.age.since}"
    if told.age.learned_ms is not None:
        yield f"  it last learned {told.age.learned_records:,} records before, at {instant(told.age.learned_ms)} of stream time"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# --- for programs --------------------------------------------------------------------------------------------------------


def facts(told: Explained, what_if: WhatIf | None, others: Sequence[Occurrence]) -> dict[str, Any]:
    """The same as plain values. A number that is not finite is null."""
    moment = told.moment
    answers = _answers(told)
    learners = {}
    for name, answer in answers.items():
        assert moment is not None
        why = told.explanations.get(name)
        learners[name] = {
            "role": "champion" if name == moment.champion else "challenger", "frozen": moment.frozen.get(name),
            **_answer_facts(answer),
            "explanation": None if why is None else {
                "method": why.method, "of": why.of, "base": why.base, "value": why.value,
                "contributions": dict(why.contributions),
            },
        }  # fmt: skip
    return {
        "outcome": told.outcome,
        "event": {"id": told.id or None, "key": told.key or None, "time": told.time_ms, "topic": told.topic,
                  "partition": told.partition, "offset": told.offset,
                  "record": None if told.raw is None else text_of(told.raw)},
        "refused": None if told.refused is None else _refused(told),
        "elsewhere": [{"offset": one.offset, "refused": one.refused is not None} for one in others],
        "task": told.task, "entry": told.entry, "journal_offset": told.journal_offset, "records": told.records,
        "folded_from": told.begun or None, "folded": told.folded,
        "features": None if moment is None else moment.features,
        "champion": None if moment is None else moment.champion,
        "threshold": _threshold_of(told),
        "learners": learners,
        "prediction": None if told.prediction is None else json.loads(told.prediction),
        "seq": told.seq,
        "emitted": None if told.emitted is None else {
            "where": told.emitted_at, "offset": told.emitted_offset, "same": not told.differs,
            "value": text_of(told.emitted.value),
        },
        "label": None if told.label is None else asdict(told.label),
        "age": None if told.age is None else asdict(told.age),
        "what_if": None if what_if is None else {
            "changes": what_if.changes, "learners": {name: _answer_facts(one) for name, one in what_if.answers.items()}
        },
    }  # fmt: skip


def _answer_facts(answer: Answer) -> dict[str, Any]:
    finite = answer.score is not None and math.isfinite(answer.score)
    return {"score": answer.score if finite else None, "prediction": answer.prediction}


def _refused(told: Explained) -> dict[str, str]:
    assert told.refused is not None
    return {"reason": told.refused.reason, "stage": told.refused.stage, "error": told.refused.error}
