"""Whether a round's results are right: the outputs and the state of an uninterrupted run over the same topics, bit for bit.

Three questions, each of every partition: does a reader of committed records find the calm run's keys, values and ``seq``, in
its order; is the state that a successor would start with (newest checkpoint, then the journal) the calm run's; and is the
state that the journal alone gives, without any checkpoint. Read stage.py for what ran.
"""

import contextlib
import hashlib
from dataclasses import dataclass, field

from stream.build import open_log, open_store, signing_key, task_name
from stream.build_fold import build_fold, lineage
from stream.checkpoints.checkpointer import Checkpointer
from stream.checkpoints.signing import Signer
from stream.config import Config
from stream.errors import HeadraceError
from stream.pipeline.fold import Fold
from stream.records import OUTPUTS
from stream.runtime.readings import TaskReadings
from stream.runtime.recovery import Recovery
from tests.campaign.stage import Service, Stage
from tests.integration.running import Pipeline
from tests.simulation.lab import settled

Digest = bytes


@dataclass
class Results:
    """What a run said and knew, by partition, small enough to keep."""

    outputs: list[dict[str, list[Digest]]] = field(default_factory=list)
    states: list[dict[str, Digest]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What is wrong with it by itself."""

    @property
    def predictions(self) -> list[int]:
        """How many, by partition."""
        return [len(outputs["predictions"]) for outputs in self.outputs]


def _digest(value: object) -> Digest:
    return hashlib.blake2b(repr(value).encode(), digest_size=12).digest()


def fold(config: Config, task: int, *, without_store: bool) -> Fold:
    """The state at the journal's end. Reads only: whatever would have to be written raises Fenced."""
    with open_store(config) as store, contextlib.closing(open_log(config)) as log:
        said: list[str] = []
        checkpointer = Checkpointer(
            store, Signer(signing_key(config)), task_name(config, task), keep=4, on_unverified=said.append
        )
        told = lineage(config, log.identity())
        recovery = Recovery(
            log.open(task), checkpointer, build_fold, told, TaskReadings(task), without_store=without_store
        )
        for _ in recovery.run():
            pass
        return recovery.fold


def _state(of: Fold) -> dict[str, Digest]:
    """Digest of each chunk, by name."""
    return {repr(name): _digest(content) for name, content in settled(of).items()}


def look(pipeline: Pipeline) -> Results:
    """Everything that can be compared, of a pipeline that is at rest."""
    results = Results()
    predicted: list[str] = []
    for task in range(pipeline.stream.partitions):
        outputs = pipeline.outputs(task)
        results.outputs.append({name: [_digest(one) for one in outputs[name]] for name in OUTPUTS})
        for name in OUTPUTS:
            seqs = [int(one.headers["seq"]) for one in outputs[name]]
            if seqs != list(range(len(seqs))):
                results.problems.append(f"{name} of partition {task}: seq is not dense: {_hole(seqs)}")
        predicted += [one.told["id"] for one in outputs["predictions"]]
        results.states.append(_state(fold(pipeline.config, task, without_store=True)))
    if len(set(predicted)) != len(predicted):
        results.problems.append(f"{len(predicted) - len(set(predicted))} events have more than one prediction")
    return results


def _hole(seqs: list[int]) -> str:
    place = next(i for i, seq in enumerate(seqs) if seq != i)
    return f"place {place} holds {seqs[place]}"


def calm(stage: Stage) -> Results:
    """The uninterrupted run, in other batches than the campaign's. Raises AssertionError when it is wrong by itself."""
    with contextlib.closing(Service(stage)) as alone:
        alone.finish()
        results = look(alone.beside())
    assert not results.problems, results.problems
    assert sum(results.predictions) == stage.events, f"{stage.events} payments, {sum(results.predictions)} predictions"
    return results


def differences(pipeline: Pipeline, expected: Results) -> list[str]:
    """In words, what is not as in the uninterrupted run; nothing when all is well."""
    try:
        found = look(pipeline)
        found_states = [_state(fold(pipeline.config, task, without_store=False)) for task in range(len(found.states))]
    except (HeadraceError, AssertionError) as error:
        return [f"{type(error).__name__}: {error}"]
    told = list(found.problems)
    for task, outputs in enumerate(found.outputs):
        for name in OUTPUTS:
            here, there = outputs[name], expected.outputs[task][name]
            if here != there:
                told.append(f"{name} of partition {task} differ: {_first(here, there)}")
        for how, states in (("journal alone", found.states), ("checkpoint and journal", found_states)):
            wrong = {k for k in states[task].keys() | expected.states[task].keys()
                     if states[task].get(k) != expected.states[task].get(k)}  # fmt: skip
            if wrong:
                told.append(f"state of task {task} from {how} differs in {', '.join(sorted(wrong))}")
    return told


def _first(here: list[Digest], there: list[Digest]) -> str:
    place = next((i for i, pair in enumerate(zip(here, there, strict=False)) if pair[0] != pair[1]), None)
    where = "one is longer" if place is None else f"first at place {place}"
    return f"{len(here)} records, {len(there)} expected, {where}"
