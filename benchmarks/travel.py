"""What looking back costs: an audit, against folding the same journal; explaining an event far from a checkpoint.

Over a pipeline of files with River's logistic regression on twenty features, in processor time. The audit and the bare
folding take turns in one process; `explain` is a process of its own, start and imports included.
"""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from benchmarks import feed
from benchmarks.bench import Bench, Figure, judged, median, spread

AUDIT, EXPLAIN = "audit", "explain"
NAMES = (AUDIT, EXPLAIN)
RECORDS = 50_000
AUDIT_MAX, EXPLAIN_S_MAX = 1.15, 5.0


def run(bench: Bench, wanted: Sequence[str]) -> list[Figure]:
    """Those of NAMES that are wanted."""
    count = 5_000 if bench.quick else RECORDS
    file = bench.events_file(count)
    told = feed.config("past", source={"file": str(file)}, checkpoints={"store": "./past-store"})
    path = str(feed.write_config(bench.directory, told))
    bench.child("benchmarks.travel", "make", path)
    figures = []
    if AUDIT in wanted:
        found = [bench.child("benchmarks.travel", AUDIT, path) for _ in range(bench.rounds)]
        ratios = [one["audit_s"] / one["fold_s"] for one in found]
        text = f"{spread(ratios)}: {spread([one['audit_s'] / count * 1e6 for one in found], 1)} µs an event"
        what = "of CPU, ÷ folding the same journal and nothing else"
        figures.append(judged(AUDIT, what, median(ratios), AUDIT_MAX, "at most", text=text))
    if EXPLAIN in wanted:
        spent = [bench.child("benchmarks.travel", EXPLAIN, path, str(count - 1))["cpu_s"] for _ in range(bench.rounds)]
        what = f"of CPU in all, an event {count:,} records after the journal's start"
        figures.append(
            judged(EXPLAIN, what, median(spent), EXPLAIN_S_MAX, "at most", text=f"{spread(spent)} s", unit=" s")
        )
    return figures


# --- in a process of its own --------------------------------------------------------------------------------------


def make(path: Path) -> dict[str, float]:
    """A pipeline that has run, so that it has a past."""
    from stream.build import open_service  # noqa: PLC0415 - only in the process that does it
    from stream.config import load  # noqa: PLC0415

    with open_service(load(path, {}), say=lambda _: None) as service:
        service.worker.run()
    return {}


def audit(path: Path) -> dict[str, float]:
    """Three times each, in turns; the quickest counts."""
    from stream.config import load  # noqa: PLC0415
    from stream.records import OUTPUTS  # noqa: PLC0415
    from stream.replay.audit import Audit  # noqa: PLC0415
    from stream.replay.travel import open_past  # noqa: PLC0415
    from stream.runtime.host import calm_collector  # noqa: PLC0415

    calm_collector()
    config = load(path, {})

    def fold() -> float:
        with open_past(config, None, say=lambda _: None) as past, closing(past.task(0)) as travel:
            begun = time.process_time()
            travel.begin()
            for offset, entry in travel.entries():
                travel.fold_entry(offset, entry)
            return time.process_time() - begun

    def compare() -> float:
        with ExitStack() as stack:
            past = stack.enter_context(open_past(config, None, say=lambda _: None))
            readers = {name: stack.enter_context(closing(past.output(name, 0))) for name in OUTPUTS}
            travel = stack.enter_context(closing(past.task(0)))
            begun = time.process_time()
            told = Audit(0, travel, readers).run()
            spent = time.process_time() - begun
        assert told.difference is None
        assert told.outputs["predictions"].compared == told.records
        return spent

    pairs = [(fold(), compare()) for _ in range(3)]
    return {"fold_s": min(one for one, _ in pairs), "audit_s": min(one for _, one in pairs)}


def explain(path: str, offset: str) -> dict[str, float]:
    """The command, to its end."""
    import contextlib  # noqa: PLC0415
    import io  # noqa: PLC0415

    from stream.cli.main import main as headrace  # noqa: PLC0415

    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = headrace(["explain", path, "--at", offset])
    assert code == 0
    assert "the same bytes were emitted" in said.getvalue()
    return {"cpu_s": time.process_time()}


def main(kind: str, path: str, *more: str) -> None:
    if kind == "make":
        print(json.dumps(make(Path(path))))
    else:
        print(json.dumps(audit(Path(path)) if kind == AUDIT else explain(path, *more)))


if __name__ == "__main__":
    main(*sys.argv[1:])
