"""Events a second of the worker, next to those of the bare loops, measured in turns so that a noisy machine is fair to all.

A round runs each contestant once, the bare loop first and last (its mean counts); ratios are those of one round, and the
report gives their median. Those that need a broker run once before: until its virtual machine has compiled what a
transaction takes, they wait for it (in the first round of all the core was idle for a sixth of the time). Processor time
is told beside: neighbours disturb it less than the clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from benchmarks import feed, service
from benchmarks.bench import Bench, Figure, Timing, judged, median, spread

BARE, LOOP, WORKER, COMPILED, FILES = "bare", "bare exactly-once", "worker", "compiled", "files"
NAMES = (BARE, LOOP, WORKER, COMPILED, FILES)
GOALS = {(WORKER, BARE): 0.75, (WORKER, LOOP): 0.93, (COMPILED, BARE): 2.5, (FILES, BARE): 0.80}
FOREIGN_MAX = 0.1
COMPARED = {LOOP: BARE, COMPILED: BARE, FILES: BARE}


@dataclass(slots=True)
class Rounds:
    """What was measured: of each contestant a timing a round."""

    timings: dict[str, list[Timing]] = field(default_factory=dict)

    def rates(self, name: str) -> list[float]:
        return [timing.rate for timing in self.timings[name]]

    def ratios(self, name: str, to: str) -> list[float]:
        return [own / other for own, other in zip(self.rates(name), self.rates(to), strict=True)]

    def own_ratios(self, name: str, to: str) -> list[float]:
        """As if no others had used the core."""
        pairs = zip(self.timings[name], self.timings[to], strict=True)
        return [own.own_rate / other.own_rate for own, other in pairs]

    def disturbed(self, *names: str) -> bool:
        """Whether neighbours had more than a tenth of the core in half of the rounds or more."""
        shares = [
            max(timing.foreign for timing in round_)
            for round_ in zip(*(self.timings[name] for name in names), strict=True)
        ]
        return median(shares) > FOREIGN_MAX

    def cpu_ratios(self, name: str, to: str) -> list[float]:
        """Of processor time: how much of the worker's is the other's."""
        pairs = zip(self.timings[name], self.timings[to], strict=True)
        return [other.cpu_us / own.cpu_us for own, other in pairs]


def run(bench: Bench, wanted: Sequence[str]) -> list[Figure]:
    """Those of NAMES that are wanted; the loops that they are compared with come along."""
    count = 10_000 if bench.quick else 100_000
    contestants = _contestants(bench, count)
    needed = {BARE, *wanted} | ({LOOP} if WORKER in wanted else set())
    rounds = Rounds()
    for name in (LOOP, WORKER, COMPILED):
        if name in needed:
            bench.said(f"not counted, {name}: {_told(contestants[name]())}")
    for number in range(bench.rounds):
        for name in NAMES:
            if name in needed:
                timing = contestants[name]()
                rounds.timings.setdefault(name, []).append(timing)
                bench.said(f"round {number + 1}, {name}: {_told(timing)}")
        again = contestants[BARE]()
        rounds.timings[BARE][-1] = rounds.timings[BARE][-1] + again
    return list(_figures(rounds, [name for name in NAMES if name in needed]))


def _told(timing: Timing) -> str:
    return (
        f"{timing.rate:,.0f} events/s, {timing.cpu_us:.1f} µs of CPU an event; of the core's time "
        f"{timing.foreign:.0%} went to others, {timing.idle_s / timing.seconds:.0%} to nobody"
    )


def _contestants(bench: Bench, count: int) -> dict[str, Callable[[], Timing]]:
    def loop() -> Timing:
        out = bench.new_name("loop")
        events = bench.events_topic(count)
        bench.topics(out)
        return _child(bench, "exactly_once", bench.bootstrap, events, out, str(count))

    def worker(kind: str, **sections: object) -> Timing:
        return service.time_on_kafka(bench, service.on_kafka(bench, kind, bench.events_topic(count), **sections), count)

    def files() -> Timing:
        name = bench.new_name("files")
        told = feed.config(
            name, source={"file": bench.events_file(count).name}, out=f"{name}-out",
            checkpoints={"store": "embedded", "every": "10_000 events"},
        )  # fmt: skip
        return service.time_on_files(bench, told, count)

    return {
        BARE: lambda: _child(bench, "bare", str(bench.events_file(count))),
        LOOP: loop,
        WORKER: lambda: worker(WORKER),
        COMPILED: lambda: worker(COMPILED, learner=feed.COMPILED),
        FILES: files,
    }


def _child(bench: Bench, *arguments: str) -> Timing:
    found = bench.child("benchmarks.loops", *arguments, patience_s=service.PATIENCE_S)
    foreign_s = max(found["busy_s"] - found["cpu_s"], 0.0)
    return Timing(found["events"], found["seconds"], found["cpu_s"], foreign_s, found["idle_s"])


def _figures(rounds: Rounds, names: Sequence[str]) -> list[Figure]:
    figures = []
    for name in names:
        cpu = spread([timing.cpu_us for timing in rounds.timings[name]], 1)
        figures.append(Figure(name, "events/s", f"{median(rounds.rates(name)):,.0f}; {cpu} µs of CPU an event"))
        for to in (BARE, LOOP):
            if to not in names or name == to or (name, to) not in {*GOALS, *COMPARED.items()}:
                continue
            ratios = rounds.ratios(name, to)
            alone = median(rounds.own_ratios(name, to))
            text = f"{spread(ratios)}; without neighbours {alone:.2f}; by CPU {median(rounds.cpu_ratios(name, to)):.2f}"
            what = f"÷ {to}, same round"
            if (goal := GOALS.get((name, to))) is None:
                figures.append(Figure(name, what, text))
            else:
                figure = judged(name, what, median(ratios), goal, "at least", text=text)
                figures.append(replace(figure, disturbed=rounds.disturbed(name, to)))
        if shares := _shares(rounds.timings[name]):
            figures.append(Figure(name, "share of the time by stage", shares))
    return figures


def _shares(timings: Sequence[Timing]) -> str:
    """``commit`` runs in a thread beside the others, so the shares do not add up to one."""
    told = [timing for timing in timings if timing.stages]
    return ", ".join(
        f"{stage} {median([timing.stages[stage] / timing.seconds for timing in told]):.0%}"
        for stage in (told[0].stages if told else ())
    )
