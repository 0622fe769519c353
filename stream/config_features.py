"""The `features:` section: windows over the past of a key, calendars, ratios and differences. Models only.

What these mean is in learners/features/; build_features.py makes the stages. Read config.py next.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from stream.config_sections import Count, Names, Text, known_zone
from stream.config_values import Duration, Section, wrong


class LabelValue(Section):
    """`{label: }`: the value of the label, from when it came; `{label: {lag: 7d}}`: at its event's time, so long ago."""

    class Lag(Section):
        """At the event's own time."""

        lag: Duration = Field(
            description="The window ends so long before the event: labels of events in between do not count."
        )

    label: Lag | None = Field(default=None, description="Nothing, or `{lag: 7d}`.")


class Grouping(Section):
    """A field that windows are kept per. Short: `by: customer_id`."""

    field: Text = Field(description="Name of the field: text, or a whole number.")
    required: bool = Field(
        default=True,
        description="Whether an event without it is refused. If not, the windows of such an event are missing.",
    )


def _several(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else [value]


def _groupings(value: Any) -> Any:
    return [{"field": one} if isinstance(one, str) else one for one in _several(value)]


def _aggregated(value: Any) -> Any:
    return {"label": None} if value == "label" else value


class Window(Section):
    """Aggregates over the past of a key."""

    by: Annotated[tuple[Grouping, ...], BeforeValidator(_groupings), Field(strict=False, min_length=1)] = Field(
        description="Field whose values each have a window; several: their combinations."
    )
    of: Annotated[Text | LabelValue | None, BeforeValidator(_aggregated)] = Field(
        default=None,
        description="The field that is aggregated, or `label`: labels when they come; `{label: {lag: 7d}}`: labels at "
        "their events' times. Omitted: events are counted.",
    )
    compute: Annotated[
        tuple[Literal["count", "sum", "mean", "std", "min", "max", "last", "time_since", "distinct"], ...],
        BeforeValidator(_several),
        Field(strict=False, min_length=1),
    ] = Field(
        description="Which aggregates, or one. `last` and `time_since` (seconds) never see the present event; of text there are "
        "`count`, `distinct` and `time_since`."
    )
    over: Annotated[tuple[Duration, ...], BeforeValidator(_several), Field(strict=False, min_length=1)] = Field(
        description="Lengths of the windows, or one: `10m`, `7d`. An event at time t sees what is after t - length, up to t."
    )
    present: bool = Field(default=True, description="Whether an event's own value counts in what it sees.")
    late: Duration = Field(
        default=Duration(0), description="How late an event may come, by its own time, and still see its windows whole."
    )
    tiles: Count | None = Field(
        default=None,
        description="Keep aggregates of so many parts of each length in place of every entry: bounded memory a key; a "
        "window then misses up to one part of it, at its older end. Omitted: exact.",
    )
    partial: bool = Field(
        default=False,
        description="With several partitions and a key that is not the events': accept that a task sees only its part.",
    )
    name: Text | None = Field(default=None, description="In place of what is aggregated in the features' names.")


class Calendar(Section):
    """What a clock on the wall says at the event's time."""

    compute: Annotated[Names, Field(min_length=1)] = Field(
        description="Of `hour`, `weekday` (Monday is 0), `weekend`, `night`, `hour_sin`, `hour_cos`, `weekday_sin`, "
        "`weekday_cos`."
    )
    zone: Annotated[str, AfterValidator(known_zone)] = Field(default="UTC", description="Time zone of the clock.")
    night: Annotated[tuple[int, int], Field(strict=False)] = Field(
        default=(22, 6), description="Hours: from the first to before the second."
    )


class Pair(Section):
    """Two numbers: features of the event, or computed before."""

    of: Text = Field(description="The first.")
    to: Text = Field(description="The second.")
    name: Text | None = Field(
        default=None, description="Name of the feature. Default: `<of>_per_<to>`, `<of>_minus_<to>`."
    )


KINDS = ("window", "calendar", "ratio", "difference")


class FeatureStage(Section):
    """Computed features: one of the kinds."""

    window: Window | None = Field(default=None, description="Aggregates over the past of a key.")
    calendar: Calendar | None = Field(default=None, description="What a clock on the wall says at the event's time.")
    ratio: Pair | None = Field(
        default=None, description="One feature divided by another; missing where either is, or the second is zero."
    )
    difference: Pair | None = Field(default=None, description="One feature minus another; missing where either is.")

    @model_validator(mode="after")
    def _one(self) -> "FeatureStage":
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise wrong(f"a computed feature is one of {', '.join(KINDS)}")
        return self


Features: TypeAlias = Annotated[tuple[FeatureStage, ...], Field(strict=False)]
