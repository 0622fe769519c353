"""What a backtest leaves behind, and where: the types at which replaying and judging meet. Read backtest.py, then evaluate.py.

``DIR/predictions.parquet`` has a row for each accepted event, in the order of the fold, task after task::

    task        int32
    id, key     string
    time        timestamp[ms, UTC]      the event's own
    score       double                  of the champion, as emitted; null when it was not a finite number
    prediction  bool | double | string  binary and anomaly | regression | multiclass; null with the score
    threshold   double                  of the champion's score; only where it follows the stream (an alert budget)
    scores      list<double>            multiclass only; classes by the schema's metadata (``classes``: JSON list)
    label       bool | double | string  the last one that was learned or measured; null when none came
    label_time  timestamp[ms, UTC]      the stream time at which it met its event; null with the label
    assumed     bool                    whether the label is silence (``labels: {assume: ...}``)
    model       string                  ``<learner>@<records applied before>``
    challengers.<name>  double          one column each
    thresholds.<name>   double          of each challenger's score; only where ``threshold`` is there

``DIR/alarms.jsonl`` and ``DIR/rejects.jsonl`` are as the file transport writes them.
"""

from dataclasses import dataclass, field
from pathlib import Path

from learners.base import Problem

PREDICTIONS = "predictions.parquet"
ALARMS = "alarms.jsonl"
REJECTS = "rejects.jsonl"
METRICS = "metrics.json"
REPORT = "report.html"


@dataclass(frozen=True, slots=True)
class Run:
    """One configuration's replay, as it lies on disk."""

    name: str
    """The configuration's, unique among those compared."""
    problem: Problem
    path: Path
    """The directory of its files."""
    threshold: float | None = 0.5
    """None: each prediction tells its own."""
    score_from_ms: int | None = None
    """Events before this time are not judged; None: all are."""
    facts: dict[str, object] = field(default_factory=dict)
    """Plain JSON values for people: records, events, seconds, counts of drops, digests of the outputs, settings."""
