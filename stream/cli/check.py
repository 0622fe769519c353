"""``headrace check``: everything that can be wrong is said before a worker starts. It changes nothing.

Names and types (loading says those), what the learners promise (learners/conformance.py, in processes with other hash
seeds too), features that are read and not there, topics that do not fit, and what waiting will cost.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path

from learners.aged import bare
from learners.base import Learner, Problem, Value
from learners.conformance import CLASSES, Workload, check, digest, synthetic
from learners.ensemble import whole
from learners.reads import absent
from stream.build import open_log, open_store, signing_key
from stream.build_fold import build_fold, build_learners, lineage
from stream.cli.arguments import per_second
from stream.cli.output import print_json, size
from stream.config import Config, load
from stream.config_loading import nearest
from stream.config_specs import codec_specs
from stream.config_values import EventCount
from stream.errors import HeadraceError
from stream.pipeline.fold import Fold
from stream.transport.readers import open_records

HASH_SEEDS = ("0", "1", "4711")
DIGESTS_S = 600
ID_BYTES = 180
"""A waiting event's id, its place in the index, its times and marks: measured over 1,000,000 events."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the configuration")
    parser.add_argument("--offline", action="store_true", help="do not ask Kafka or the checkpoint store")
    parser.add_argument(
        "--rate",
        type=per_second,
        metavar="N",
        help="events a second: says what waiting for labels will cost at that rate",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(arguments: argparse.Namespace) -> int:
    """0 when all is well, 1 when something would not work."""
    with redirect_stdout(sys.stderr):  # a factory may print
        found, notes = _said(arguments)
    good = not any(found.values())
    if arguments.json:
        print_json({"ok": good, "problems": found, "notes": notes})
        return 0 if good else 1
    for what, problems in found.items():
        print(f"{what}:" if problems else f"{what}: ok")
        for problem in problems:
            print("  ✗ " + problem.replace("\n", "\n    "))
    for note in notes:
        print(f"note: {note}")
    return 0 if good else 1


def _said(arguments: argparse.Namespace) -> tuple[dict[str, list[str]], list[str]]:
    """Problems, by what they are of, and notes."""
    config = load(arguments.config, os.environ)
    found: dict[str, list[str]] = {"configuration": list(_configuration(config))}
    if not found["configuration"]:
        found["learners"] = list(learners(config, arguments.config))
    if not arguments.offline:
        found["checkpoints"] = list(_checkpoints(config))
        if not config.on_files:
            found["topics"] = list(_topics(config))
    return found, [] if found["configuration"] else list(_notes(config, arguments.rate, offline=arguments.offline))


def _configuration(config: Config) -> Iterator[str]:
    try:
        fold = build_fold(lineage(config, {}), ())
        if config.on_files:
            open_log(config).close()
            yield from _first_events(config, fold)
    except HeadraceError as error:
        yield str(error)


def _first_events(config: Config, fold: Fold) -> Iterator[str]:
    """Of files: when the first hundred events would all be refused, why the first one would."""
    paths = [config.path(file) for file in config.events.file or ()]
    records = next((batch.slice(0, 100) for batch in open_records(paths)), None)
    if records is None:
        return
    rejects = fold.events(records).rejects
    if len(rejects) < sum(value is not None for value in records.values):
        return
    error = rejects[min(rejects)].error
    field, _, what = error.partition(": ")
    near = ""
    if what == "required field missing":
        with suppress(ValueError):
            near = nearest(field, json.loads(records.values[min(rejects)] or b""))
    yield f"all of the first {len(rejects)} events of {paths[0]} would be refused: {error}{near}"


def learners(config: Config, path: Path) -> Iterator[str]:
    """What configured learners break of the promises that every result rests on."""
    problem, load_ = codec_specs(config).target.problem, _workload(config)
    width = len(CLASSES) if problem == "multiclass" else 1
    again = _built(config, problem, width)
    sound = []
    for name, learner in _built(config, problem, width).items():
        violations = check(learner, problem, load_, again=again[name])
        yield from (f"learner {name}: {violation}" for violation in violations)
        if not violations:
            sound.append(name)
    said = [_digests_under(seed, path, sound) for seed in HASH_SEEDS] if sound else []
    for name in sound:
        if len({one[name] for one in said}) > 1:
            yield (
                f"learner {name}: other scores under another PYTHONHASHSEED; results could not be repeated. "
                "Look for sets and for unseeded randomness in it"
            )


def _built(config: Config, problem: Problem, width: int) -> dict[str, Learner]:
    """As they are checked: a blend with its members, and one that learns labels of some age as if it learned all."""
    built = build_learners(config, problem, width)
    inner = {name: bare(one) for name, one in built.items()}
    return {name: whole(inner, name) for name in inner}


def _workload(config: Config) -> Workload:
    listed = config.events.features
    problem = codec_specs(config).target.problem
    return synthetic(problem) if listed is None else synthetic(problem, {one.name: one.type for one in listed})


def _digests_under(seed: str, path: Path, names: Sequence[str]) -> dict[str, str]:
    """The learners' digests, from a process of its own."""
    code = (
        "import sys; sys.path.append(sys.argv[2]); from stream.cli.check import print_digests; "
        "print_digests(sys.argv[1], sys.argv[3:])"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-c", code, str(path), str(Path.cwd()), *names],
        env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=False, timeout=DIGESTS_S, text=True,
    )  # fmt: skip
    if done.returncode:
        raise HeadraceError(f"the check under PYTHONHASHSEED={seed} failed: {done.stderr.strip()[-2000:]}")
    told: dict[str, str] = json.loads(done.stdout)
    return told


def print_digests(path: str, names: Sequence[str]) -> None:
    """The learners' digests as JSON; what the processes with other hash seeds do."""
    with redirect_stdout(sys.stderr):  # a factory may print
        config = load(Path(path), os.environ)
        problem = codec_specs(config).target.problem
        built = _built(config, problem, len(CLASSES) if problem == "multiclass" else 1)
        digests = {name: digest(built[name], problem, _workload(config)) for name in names}
    print(json.dumps(digests))


def _checkpoints(config: Config) -> Iterator[str]:
    try:
        signing_key(config)
        if config.checkpoints.store.kind != "embedded":
            with open_store(config, say=lambda warning: print(f"note: {warning}", file=sys.stderr)):
                pass
    except HeadraceError as error:
        yield str(error)


def _topics(config: Config) -> Iterator[str]:
    from stream.cli import topics  # noqa: PLC0415 - kafka-python only where it is used
    from stream.transport.admin import ControlPlane  # noqa: PLC0415 - as above

    try:
        with ControlPlane(config.client_settings()) as plane:
            yield from topics.check(config, plane)
    except HeadraceError as error:
        yield str(error)


def _notes(config: Config, rate: float | None, *, offline: bool) -> Iterator[str]:
    yield from _absent_features(config)
    if not config.on_files and not offline and (partitions := _partitions(config)):
        models = f"{partitions} partitions are {partitions} tasks, each with models of its own" if partitions > 1 else (
            "1 partition is 1 task with one set of models"
        )  # fmt: skip
        yield f"{models}; what belongs together must have one key"
    labels = config.labels
    if labels is None or labels.at_once:
        return
    listed = config.events.features
    columns = len(listed) if listed is not None else 20
    event_bytes = 8 * (columns + len(config.learners)) + ID_BYTES
    if isinstance(labels.delay, EventCount):
        waiting = labels.delay.events
        yield f"a waiting event costs about {event_bytes} bytes; {waiting:,} wait in a task ({size(waiting * event_bytes)})"
        return
    if not labels.wait.ms:
        return
    if rate is None:
        yield (
            f"a waiting event costs about {event_bytes} bytes; at most {labels.waiting_max:,} wait in a task "
            f"({size(labels.waiting_max * event_bytes)}), for {labels.wait}: enough for "
            f"{labels.waiting_max / labels.wait.seconds:.3g} events/s. `--rate N` says what yours costs"
        )
        return
    held = min(rate * labels.wait.seconds, labels.waiting_max)
    bound = " (the bound waiting_max)" if held == labels.waiting_max else ""
    yield (
        f"at {rate:g} events/s and a wait of {labels.wait}, a task holds {held:,.0f} waiting events{bound}: "
        f"about {size(held * event_bytes)}"
    )
    if rate * labels.wait.seconds > labels.waiting_max:
        covered_s = labels.waiting_max / rate
        yield (
            f"waiting_max is reached after {covered_s / 86400:.1f} days at this rate: later labels find no event. "
            "Raise `labels: {waiting_max: …}`, or shorten `wait`"
        )


def _absent_features(config: Config) -> Iterator[str]:
    """Names that transformers read and that no event has, where the features are known beforehand."""
    state = build_fold(lineage(config, {}), ()).state
    layout = state.join.layout
    if layout.is_open:
        return
    examples: dict[str, Value] = {"number": 1.0, "boolean": True, "text": "", "key": ""}
    row = {one.name: examples[one.kind] for one in layout.features or () if not one.hidden}
    row |= {name: 1.0 for stage in state.features for name in stage.names}
    for name, learner in state.learners.items():
        with suppress(Exception):  # a transformer that cannot make anything of the example
            for transformer, feature in absent(getattr(bare(learner), "model", None), dict(row)):
                yield f"learner {name}: {transformer} reads {feature!r}, which no event has{nearest(feature, row)}"


def _partitions(config: Config) -> int:
    from stream.transport.admin import ControlPlane  # noqa: PLC0415 - as above

    try:
        with ControlPlane(config.client_settings()) as plane:
            topic = config.topics()["events"]
            info = plane.describe([topic]).get(topic)
            return info.partitions if info is not None else 0
    except HeadraceError:
        return 0  # said above
