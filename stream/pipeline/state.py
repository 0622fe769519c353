"""The state that one task owns, and the plan: the plain settings of the step. Read join.py and step.py next."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from detectors.base import Detector
from learners.base import Learner, Problem
from learners.explanations.background import Background
from learners.features.base import FeatureStage
from learners.metrics.base import Metrics
from learners.metrics.coverage import Coverage
from learners.metrics.finds import Finds
from stream.codec_specs import Limits
from stream.pipeline.budget import Budget
from stream.pipeline.clock import Clock
from stream.pipeline.join import Join
from stream.records import Input

SignalKind: TypeAlias = Literal["error", "loss", "score", "label", "feature"]
Response: TypeAlias = Literal["alarm", "reset"]


class Part(Protocol):
    """A named piece of state; what a checkpoint asks of it (checkpoints/base.py)."""

    codec: str

    def alive(self) -> Iterable[str]: ...

    def dump(self, since: int) -> Iterator[tuple[str, object]]: ...

    def load(self, chunks: Mapping[str, object]) -> None: ...


@dataclass(slots=True)
class Watch:
    """A detector on a signal, and what is done about its alarms."""

    name: str
    signal: SignalKind
    feature: str | None
    detector: Detector
    response: Response
    learners: tuple[str, ...]
    """Which learners a response changes."""

    @property
    def says(self) -> str:
        """The signal as an alarm names it."""
        return self.feature or self.signal if self.signal == "feature" else self.signal


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings of the step that change answers, as plain values."""

    problem: Problem
    champion: str
    inputs: tuple[Input, ...]
    """Events first, then labels."""
    threshold: float = 0.5
    """Where the state has no budgets."""
    learn_errors_max: int = 10
    reasons: int = 0
    """How many contributions each prediction tells; 0: none."""
    lineage: str = ""
    """Short digest, for the headers of rejects."""
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True)
class Roles:
    """Names only: who answers, who is frozen, and why. A part of the state, because the log changes it."""

    champion: str
    frozen: dict[str, str] = field(default_factory=dict)
    """Learners that no longer learn, and the reason."""
    learn_errors: dict[str, int] = field(default_factory=dict)
    codec: str = "pickle"

    def alive(self) -> Iterable[str]:
        return ("roles",)

    def dump(self, since: int) -> Iterator[tuple[str, object]]:  # noqa: ARG002 - small: always whole
        # by name: which of two learners failed first within a batch depends on where it was cut
        frozen, errors = dict(sorted(self.frozen.items())), dict(sorted(self.learn_errors.items()))
        yield "roles", {"champion": self.champion, "frozen": frozen, "learn_errors": errors}

    def load(self, chunks: Mapping[str, object]) -> None:
        told = chunks["roles"]
        assert isinstance(told, dict)
        self.champion, self.frozen, self.learn_errors = told["champion"], told["frozen"], told["learn_errors"]


@dataclass(slots=True)
class PipelineState:
    """Everything that a task knows. Nothing else refers into it."""

    clock: Clock
    join: Join
    learners: dict[str, Learner]
    roles: Roles
    metrics: dict[str, Metrics]
    coverage: Coverage
    watches: tuple[Watch, ...] = ()
    features: tuple[FeatureStage, ...] = ()
    finds: Finds | None = None
    background: Background | None = None
    """Rows that explanations compare with; where none are asked for there is none."""
    budgets: dict[str, Budget] = field(default_factory=dict)
    """Of each learner, where thresholds follow the scores: a challenger's would be its own if it answered."""

    def parts(self) -> Iterator[tuple[str, Part]]:
        """The state as named parts, always in the same order."""
        yield "clock", self.clock
        yield "roles", self.roles
        yield "coverage", self.coverage
        yield "join", self.join
        for stage in self.features:
            if stage.codec:
                yield f"features/{stage.name}", stage
        for name, learner in self.learners.items():
            yield f"learner/{name}", learner
        for name, metrics in self.metrics.items():
            yield f"metrics/{name}", metrics
        for watch in self.watches:
            yield f"detector/{watch.name}", watch.detector
        if self.finds is not None:
            yield "finds", self.finds
        if self.background is not None:
            yield "background", self.background
        for name, budget in self.budgets.items():
            yield f"threshold/{name}", budget
