"""A worker's readings as samples. Asked from the HTTP thread; reads plain numbers, changes nothing."""

from collections.abc import Callable, Iterator, Mapping
from math import inf, isfinite

from stream.runtime.readings import TaskReadings
from stream.runtime.worker import Worker
from stream.serving.metrics import Sample

FIELDS_MAX = 100
"""Unknown fields that are told by name: producers choose how many there are."""


class WorkerReadings:
    """What ``/healthz``, ``/readyz`` and ``/metrics`` tell of a worker.

    Parameters
    ----------
    worker : Worker
    tasks : mapping
        Readings by task.
    monotonic : callable
        The clock that the readings' times are of.
    """

    def __init__(self, worker: Worker, tasks: Mapping[int, TaskReadings], monotonic: Callable[[], float]) -> None:
        self._worker = worker
        self._tasks = tasks
        self._monotonic = monotonic

    def healthy(self) -> bool:
        return self._worker.turned_s_ago() < 300.0

    def ready(self) -> bool:
        return self._worker.ready()

    def samples(self) -> Iterator[Sample]:
        yield Sample("headrace_ready", {}, float(self.ready()), "gauge", "1 when no task is recovering.")
        for number, task in sorted(dict(self._tasks).items()):
            if task.phase != "stopped":
                yield from self._of_task({"task": str(number)}, task)

    def _of_task(self, of: dict[str, str], task: TaskReadings) -> Iterator[Sample]:
        def count(name: str, value: float, text: str, **labels: str) -> Sample:
            return Sample(f"headrace_{name}_total", {**of, **labels}, float(value), "counter", text)

        def gauge(name: str, value: float, text: str, **labels: str) -> Sample:
            return Sample(f"headrace_{name}", {**of, **labels}, float(value), "gauge", text)

        yield count("records", task.records, "Records folded into the state since the task's journal began.")
        yield gauge("running", task.phase == "running", "1 when the task applies records.")
        for name, value in sorted(dict(task.outputs).items()):
            yield count("outputs", value, "Records put out by this worker, by output.", output=name)
        for name, value in sorted(dict(task.rejects).items()):
            yield count("rejects", value, "Records refused by this worker, by reason.", reason=name)
        for name, value in sorted(dict(task.alarms).items()):
            yield count("alarms", value, "Alarms by detector (or frozen learner).", detector=name)
        for name, value in sorted(dict(task.counts).items()):
            yield count("counted", value, "Records dropped or met, by what they were.", what=name)
        for name, value in sorted(dict(task.unknown_fields).items())[:FIELDS_MAX]:
            yield count(
                "unknown_fields", value, "Events looked at (one in a thousand) with a field unknown.", field=name
            )
        for name, stage in task.stages.items():
            yield count("stage_seconds", stage.seconds, "Seconds spent in a stage of the work.", stage=name)
            yield count("stage_runs", stage.count, "How often a stage was run.", stage=name)
        for name, value in sorted(dict(task.lag).items()):
            yield gauge("lag_records", value, "Records in an input that are not read yet.", input=name)
        if task.stream_time_ms is not None:
            yield gauge("stream_time_seconds", task.stream_time_ms / 1000, "The task's stream time, since 1970.")
        yield gauge("waiting_events", task.waiting, "Events whose label can still come.")
        yield gauge("parked_labels", task.parked, "Labels that wait for their event.")
        yield count("recoveries", task.recoveries, "Recoveries.")
        yield count("recovered_records", task.recovered_records, "Records folded again by recoveries.")
        yield count("fenced", task.fenced, "Times that somebody else took the task.")
        yield count("in_doubt", task.in_doubt, "Commits whose answer was lost; the journal decided.")
        yield count("checkpoints", task.checkpoints, "Checkpoints saved.")
        yield count("checkpoint_failures", task.checkpoint_failures, "Checkpoints that could not be saved.")
        yield gauge("checkpoint_bytes", task.checkpoint_bytes, "Size of the newest checkpoint.")
        if task.checkpoint_at is not None:
            age_s = self._monotonic() - task.checkpoint_at
            yield gauge("checkpoint_age_seconds", age_s, "Since the last good checkpoint (or the recovery).")
        for name, reason in sorted(dict(task.frozen).items()):
            yield gauge("learner_frozen", 1, "1 when the learner no longer learns.", learner=name, reason=reason[:80])
        for name, weights in dict(task.weights).items():
            for member, weight in weights.items():
                yield gauge("blend_weight", weight, "What a blend's member weighs.", learner=name, member=member)
        for name, threshold in dict(task.thresholds).items():
            yield gauge("threshold", threshold, "What a learner's scores are held against.", learner=name)
        coverage = dict(task.coverage)
        yield count("events", coverage.get("events", 0), "Events accepted since the task's journal began.")
        yield count("events_labelled", coverage.get("labelled", 0), "Of these, those whose label has come.")
        if isfinite(coverage.get("share", inf)):
            yield gauge("label_share", coverage["share"], "Share of the events whose label has come.")
        for name in ("mean", "p50", "p99"):
            if isfinite(age_ms := coverage.get(f"age_{name}_ms", inf)):
                yield gauge("label_age_seconds", age_ms / 1000, "Event time to label.", figure=name)
        for learner, spans in dict(task.metrics).items():
            for span, figures in spans.items():
                for metric, figure in figures.items():
                    if isfinite(figure):
                        yield gauge(
                            "prequential",
                            figure, "Prequential metrics of what was emitted.",
                            learner=learner, span=span, metric=metric,
                        )  # fmt: skip
