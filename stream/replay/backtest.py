"""A backtest: what would these configurations have answered, on records that are there already?

``backtest`` is what ``headrace backtest`` and notebooks call::

    from stream.replay.backtest import backtest

    result = backtest(["fraud.yaml", "fraud-forest.yaml"], source=["april.csv.gz", "may.csv.gz"], out="compared")
    result.predictions("fraud").groupby("label").score.mean()   # a pandas frame, see results.py for its columns
    result.metrics                                              # what metrics.json says
    result.report                                               # the page to read

It reads and decodes once for all configurations, folds each as live does, and writes the files that results.py describes.
Killed and called again with the same arguments, it goes on where it was. Read work.py for the loop, plan.py for what is
checked before, outcome.py for the files, evaluate.py for the judgement.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stream.build_fold import build_fold, lineage
from stream.checkpoints.signing import KEY_VARIABLE, load_key
from stream.config import Config
from stream.errors import ConfigError
from stream.replay.bounds import Bounds
from stream.replay.durable import read_json, write_json
from stream.replay.lane import Contestant, Order
from stream.replay.outcome import Left, Shape, write_outcome
from stream.replay.plan import (
    Given,
    Moment,
    check_agreement,
    loaded,
    modules_of,
    moment,
    names_of,
    range_of,
    source_of,
    told,
)
from stream.replay.results import ALARMS, METRICS, PREDICTIONS, REJECTS, REPORT, Run
from stream.replay.resume import Point
from stream.replay.sources import History, Source, open_source
from stream.replay.work import EVERY_S, AtEnd, Tell, Work, perform, shares

if TYPE_CHECKING:
    import pandas as pd

RESUME = ".resume"
"""In the directory, while a backtest is not done."""
PLAN = "plan.json"
PLOTS = "plots"


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a backtest left: files, and the same as frames."""

    runs: tuple[Run, ...]
    path: Path

    def run(self, name: str | None = None) -> Run:
        """Of one configuration; without a name of the only one, or the first. Raises KeyError."""
        for one in self.runs:
            if name in {None, one.name}:
                return one
        raise KeyError(name)

    def predictions(self, name: str | None = None) -> "pd.DataFrame":
        """Of one configuration, a row an accepted event; columns as in results.py."""
        from pyarrow import parquet  # noqa: PLC0415 - only where frames are wanted

        frame: pd.DataFrame = parquet.read_table(self.run(name).path / PREDICTIONS).to_pandas()
        return frame

    def alarms(self, name: str | None = None) -> "pd.DataFrame":
        """Of one configuration, an alarm a row."""
        return _frame(self.run(name).path / ALARMS)

    def rejects(self, name: str | None = None) -> "pd.DataFrame":
        """Of one configuration, a refused record a row, with the reason."""
        return _frame(self.run(name).path / REJECTS)

    @property
    def metrics(self) -> dict[str, Any]:
        """What metrics.json says."""
        found: dict[str, Any] = read_json(self.path / METRICS)
        return found

    @property
    def report(self) -> Path:
        """The page to read."""
        return self.path / REPORT


def _frame(path: Path) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 - only where frames are wanted

    with path.open("rb") as lines:
        return pd.DataFrame([json.loads(line) for line in lines])


def backtest(
    configs: Given | Sequence[Given],
    *,
    source: str | Path | Sequence[str | Path] = (),
    labels: str | Path | Sequence[str | Path] = (),
    out: str | Path | None = None,
    start: Moment = None,
    stop: Moment = None,
    task: int | None = None,
    tasks: int = 1,
    jobs: int = 1,
    score_from: Moment = None,
    at_end: AtEnd = "flush",
    limit: int | None = None,
    save_state: str | Path | None = None,
    overwrite: bool = False,
    report: bool = True,
    top: Sequence[int] = (),
    command: str = "",
    every_s: float = EVERY_S,
    every_records: int | None = None,
    tell: Tell = lambda _: None,
) -> Backtest:
    """Replay history under one or several configurations, and judge what they would have answered.

    Parameters
    ----------
    configs : one or several of Path, str, mapping or Config
        Files, settings, or loaded ones. Several see the same records in the same order and are compared.
    source : files, or ``"kafka"``, or ``"journal"``
        What is replayed: files in order; the first configuration's topics; or its journal, in the very order that its
        service took. Default: what the first configuration reads.
    labels : files
        Labels, where they have records of their own.
    out : str or Path, optional
        Directory of the results; default: one in the system's place for temporary files.
    start, stop : str, date or int, optional
        A time in UTC, or an offset: where the history begins, and before which record it ends (see bounds.py).
    task : int, optional
        Only this partition.
    tasks : int
        Files are split by key, as Kafka would, over so many tasks, each with models of its own.
    jobs : int
        Processes, over configurations and tasks. The results are the same.
    score_from : str or date, optional
        Events before this time are learned from and not judged.
    at_end : "flush" or "keep"
        Whether labels that are not due when the history ends are revealed then. A saved state never knows them.
    limit : int, optional
        Records of a task after which it ends.
    save_state : str or Path, optional
        Directory for the final state, for ``headrace run --warm-start``; of one configuration.
    overwrite : bool
        Whether results that are in ``out`` may go.
    report : bool
        Whether the page is drawn as well, which takes some seconds.
    top : sequence of int
        For the precision of the best ``k`` of a day; default: those of evaluate.py.
    command : str
        What was typed, for the page.
    every_s, every_records : float, int
        How often a resume point is made.
    tell : callable
        Told of the progress.

    Returns
    -------
    Backtest

    Raises
    ------
    ConfigError
        What is asked for does not fit together; said before anything is read.
    HeadraceError
        What reading raises.
    """
    several = [configs] if isinstance(configs, (str, Path, Mapping, Config)) else list(configs)
    if not several:
        raise ConfigError("there is no configuration to replay")
    own = [loaded(one) for one in several]
    check_agreement(own)
    if save_state is not None and (len(own) > 1 or task is not None):
        raise ConfigError("--save-state is for one configuration, and all of its tasks", "replay that one by itself")
    late = at_end == "flush" and save_state is None
    what = source_of(own, _many(source), _many(labels), range_of(start, stop, late_labels=late), tasks)
    score_from_ms, offset = moment(score_from, "--score-from")
    if offset is not None:
        raise ConfigError(f"--score-from: {score_from!r} is no time", "write 2018-06-01")
    path = Path(tempfile.mkdtemp(prefix="headrace-backtest-") if out is None else out)
    names = names_of(own)
    what = replace(what, split=str(path / RESUME / "split"))
    with closing(open_source(what)) as history:
        chosen = _tasks(history, task)
        contestants = tuple(
            Contestant(name, lineage(config, history.identity())) for name, config in zip(names, own, strict=True)
        )
        for one in contestants:
            build_fold(one.lineage, ())  # what is wrong with a learner is said before anything is touched
        asked = {
            "source": told(what), "tasks": list(chosen), "at_end": at_end, "limit": limit, "jobs": jobs,
            "save_state": None if save_state is None else str(save_state),
            "configurations": {one.name: one.lineage for one in contestants},
        }  # fmt: skip
        for option, directory in (("--out", path), ("--save-state", save_state)):
            _made(option, directory)
        bounds = _begun(path, asked, history, contestants[0], chosen, overwrite=overwrite)
        key = _key(own[0], path)
        works = [
            Work(
                source=what, task=number, bounds=bounds[number], order=contestants[0].lineage,
                contestants=tuple(contestants[place] for place in places), places=places,
                directory=path / RESUME / f"task-{number}-{places[0]}", key=key, admitted=modules_of(own), at_end=at_end,
                limit=limit, every_s=every_s, every_records=every_records,
                state=None if save_state is None else _state_place(own[0], Path(save_state)),
            )
            for number, places in shares(chosen, len(contestants), jobs)
        ]  # fmt: skip
        _perform(works, jobs, history, tell)
        if save_state is not None:
            from stream.replay.state import finish_state  # noqa: PLC0415 - only where it is wanted

            finish_state(Path(save_state), own[0].name, _ids(what, history), {one.task: _point(one) for one in works})
    about = {"source": _words(what), **({"command": command} if command else {})}
    runs = _written(path, own, contestants, works, score_from_ms, about)
    _judge(runs, path, report=report, top=top)
    shutil.rmtree(path / RESUME)
    return Backtest(runs, path)


def _words(source: Source) -> str:
    """What was replayed, for people."""
    if source.kind == "files":
        return ", ".join(Path(one).name for one in (*source.events, *(source.labels or ())))
    topics = ", ".join(name for use in ("events", "labels") if (name := source.topics.get(use)))
    return f"the journal of {source.pipeline}" if source.kind == "journal" else topics


def _ids(source: Source, history: History) -> dict[str, str]:
    """Of the topics that are read, name to id; of files nothing."""
    ids = history.identity()["topics"] if source.kafka else {}
    assert isinstance(ids, dict)
    return {name: ids[name] for use in ("events", "labels") if (name := source.topics.get(use)) is not None}


def _many(given: str | Path | Sequence[str | Path]) -> list[str | Path]:
    return [given] if isinstance(given, (str, Path)) else list(given)


def _tasks(history: History, task: int | None) -> tuple[int, ...]:
    if task is None:
        return history.tasks
    if task not in history.tasks:
        there = ", ".join(map(str, history.tasks))
        raise ConfigError(f"--task {task}: there is no such task", f"there are {there}")
    return (task,)


def _key(config: Config, path: Path) -> bytes:
    """Signs resume points: the configuration's key, else one that is kept beside them."""
    key_file = config.checkpoints.key_file
    return load_key(
        None if key_file is None else config.path(key_file), os.environ.get(KEY_VARIABLE), path / RESUME / "key"
    )


def _state_place(config: Config, directory: Path) -> tuple[Path, str, bytes]:
    from stream.build import signing_key  # noqa: PLC0415 - only where a state is wanted

    return directory, config.name, signing_key(config)


# --- going on where it was ----------------------------------------------------------------------------------------


def _begun(
    path: Path, asked: dict[str, Any], history: History, first: Contestant, tasks: Sequence[int], *, overwrite: bool
) -> dict[int, Bounds]:
    """Where each task begins and ends: as of now, or as of when this backtest was begun. Raises ConfigError."""
    plan_path = path / RESUME / PLAN
    if overwrite:
        _clear(path)
    known = read_json(plan_path)
    if known is not None:
        plain = json.loads(json.dumps(asked))
        if known["asked"] != plain:
            from stream.runtime.lineages import differences  # noqa: PLC0415 - only for a message

            lines = list(differences(known["asked"], plain))
            raise ConfigError(
                f"{path} holds another backtest, which is not done:\n    " + "\n    ".join(lines[:10]),
                "call that one again to let it go on, or begin anew with --overwrite",
            )
        return {int(task): msgspec.convert(own, Bounds) for task, own in known["bounds"].items()}
    there = [name for name in (METRICS, REPORT, PREDICTIONS) if (path / name).exists()]
    if there:
        raise ConfigError(
            f"{path} holds a backtest already ({there[0]})", "write to another directory, or over it with --overwrite"
        )
    bounds = history.bounds(Order(first.lineage), tasks)
    plan_path.parent.mkdir(parents=True, exist_ok=True)
    write_json(plan_path, {"asked": asked, "bounds": {str(task): msgspec.to_builtins(b) for task, b in bounds.items()}})
    return bounds


def _made(option: str, directory: str | Path | None) -> None:
    """It is there. Raises ConfigError."""
    if directory is None:
        return
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{option} {directory}: {error.strerror}", "name a directory, or where one can be made"
        ) from error


def _clear(path: Path) -> None:
    """Remove what backtests left, and nothing else."""
    if not path.is_dir():
        return
    shutil.rmtree(path / RESUME, ignore_errors=True)
    for folder in (path, *(one for one in path.iterdir() if one.is_dir() and (one / PREDICTIONS).exists())):
        for name in (PREDICTIONS, ALARMS, REJECTS, METRICS, REPORT):
            (folder / name).unlink(missing_ok=True)
        for plot in (folder / PLOTS).glob("*.png"):
            plot.unlink()
        if (folder / PLOTS).is_dir() and not any((folder / PLOTS).iterdir()):
            (folder / PLOTS).rmdir()
        if folder != path and not any(folder.iterdir()):
            folder.rmdir()


def _perform(works: Sequence[Work], jobs: int, history: History, tell: Tell) -> None:
    if jobs > 1 and len(works) > 1:
        from stream.replay.jobs import perform_all  # noqa: PLC0415 - only where there are several

        perform_all(works, jobs, tell)
        return
    for work in works:
        perform(work, tell, history)


# --- results ------------------------------------------------------------------------------------------------------


def _point(work: Work) -> Point:
    return msgspec.json.decode((work.directory / "point.json").read_bytes(), type=Point)


def _written(
    path: Path,
    configs: Sequence[Config],
    contestants: Sequence[Contestant],
    works: Sequence[Work],
    score_from_ms: int | None,
    about: Mapping[str, object],
) -> tuple[Run, ...]:
    """The files of every configuration."""
    points = [(work, _point(work)) for work in works]
    runs = []
    for place, (config, one) in enumerate(zip(configs, contestants, strict=True)):
        left = []
        for work, point in points:
            if place in work.places:
                at = work.places.index(place)
                left.append(Left(work.task, work.directory / f"lane-{at}", point.lanes[at], point.facts[at]))
        own = path / one.name if len(configs) > 1 else path
        assert config.problem != "ranking"
        threshold = config.predictions.fixed_threshold
        write_outcome(own, Shape(config.problem, config.champion, list(config.learners), threshold), left)
        runs.append(Run(one.name, config.problem, own, threshold, score_from_ms, {**about, **_facts(one, left)}))
    return tuple(runs)


def _facts(one: Contestant, left: Sequence[Left]) -> dict[str, object]:
    """Of a configuration, for people and metrics.json."""
    counts: dict[str, int] = {}
    for part in left:
        for name, count in part.facts["counts"].items():
            counts[name] = counts.get(name, 0) + count
    summed = {name: sum(part.facts[name] for part in left) for name in ("records", "events", "labels", "waiting")}
    outputs = {name: sum(part.facts["outputs"][name] for part in left) for name in ("predictions", "alarms", "rejects")}
    digests = {str(part.task): part.facts["digests"] for part in left}
    frozen = {f"{part.task}: {name}": why for part in left for name, why in part.facts["frozen"].items()}
    return {
        **summed, "tasks": len(left), "outputs": outputs, "counts": dict(sorted(counts.items())), "frozen": frozen,
        "digests": digests, "settings": one.lineage["answers"], "versions": one.lineage["versions"],
    }  # fmt: skip


def _judge(runs: Sequence[Run], path: Path, *, report: bool, top: Sequence[int]) -> None:
    """The judgement of all runs together, and the page."""
    from stream.replay.evaluate import TOP, evaluate  # noqa: PLC0415 - heavy, and not needed before

    found = evaluate(runs, top=sorted(set(top)) or TOP)
    if report:
        from stream.replay.report import write_report  # noqa: PLC0415 - as above

        write_report(runs, found, path)
    for run in runs:
        found["runs"][run.name]["facts"] = run.facts
    write_json(path / METRICS, found)
