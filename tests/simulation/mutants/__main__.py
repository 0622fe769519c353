"""``python -m tests.simulation.mutants [NAME...]``: plant each bug in a copy of the tree and see whether the simulator finds it.

A mutant that lives through all seeds is a hole of the simulator, or does not change what the service does. The tree as it
is must pass first. Read catalogue.py for the bugs; ``make sim-mutants`` runs all of them.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulation.mutants.catalogue import Mutant, catalogue

ROOT = Path(__file__).parents[3]
COPIED = ("learners", "detectors", "stream", "tests", "pyproject.toml")
CALM = 6
"""So many seeds' records a mutant must answer, in peace, as the tree does."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one tree."""

    peace: str
    """Digests of what it says when nothing goes wrong, or its error."""
    seed: int | None
    """That failed; None: none did."""
    why: str
    seconds: float
    test: str = ""
    """That failed, of a mutant that names its tests."""

    @property
    def caught(self) -> bool:
        return self.seed is not None or bool(self.test)


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one mutant."""

    mutant: Mutant
    trial: Trial
    fair: bool
    """It shows in peace, or not, as it is said to."""


def copy_of(tree: Path, into: Path) -> Path:
    """What a simulation needs of a tree; compiled files too, whose sources keep their times."""
    into.mkdir()
    for name in COPIED:
        source = tree / name
        if source.is_dir():
            shutil.copytree(source, into / name, ignore=shutil.ignore_patterns("*.log", ".hypothesis"))
        else:
            shutil.copy2(source, into / name)
    return into


def try_tree(tree: Path, seeds: str, timeout_s: float) -> Trial:
    """In an interpreter that finds the packages in ``tree``: in peace, then seeds until the first one that fails."""
    begun = time.monotonic()
    environment = {"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "tests.simulation.mutants.trial", str(CALM), seeds]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, timeout=timeout_s, check=False, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired as late:
        said = _told((late.stdout or b"").decode())
        why = f"not found up to seed {said.get('passed')}, then the time was over"
        return Trial(str(said.get("peace")), None, why, timeout_s)
    told = _told(done.stdout)
    if "why" not in told:
        raise RuntimeError(f"the trial of {tree.name} ended early:\n{done.stderr[-3000:]}")
    return Trial(told["peace"], told["seed"], told["why"], time.monotonic() - begun)


def try_tests(tree: Path, arguments: str, timeout_s: float) -> Trial:
    """Tests of the tree itself. Raises RuntimeError when they do not come to an answer."""
    begun = time.monotonic()
    environment = {"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *arguments.split()]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, timeout=timeout_s, check=False, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return Trial("", None, f"not found in {timeout_s:.0f} s", timeout_s)
    failed = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode not in {0, 1} or bool(failed) != bool(done.returncode):
        raise RuntimeError(f"the tests of {tree.name} gave no answer:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    test = failed[0].rpartition("::")[2] if failed else ""
    return Trial("", None, test, time.monotonic() - begun, test)


def _told(output: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for line in output.splitlines(keepends=True):
        if line.endswith("\n"):
            told |= json.loads(line)
    return told


def try_mutant(mutant: Mutant, base: Path, where: Path, seeds: str, timeout_s: float, peace: str) -> Verdict:
    """In a copy of the base."""
    tree = copy_of(base, where / mutant.name)
    try:
        mutant.apply(tree)
        trial = try_tests(tree, mutant.tests, timeout_s) if mutant.tests else try_tree(tree, seeds, timeout_s)
    finally:
        shutil.rmtree(tree)
    return Verdict(mutant, trial, fair=bool(mutant.tests) or not mutant.calm or trial.peace == peace)


def table(verdicts: Iterable[Verdict], first: int) -> str:
    """For people who read it as it stands."""
    lines = [f"{'mutant':38} {'caught at seed':>14} {'seeds':>6} {'s':>5}  by"]
    for one in verdicts:
        trial = one.trial
        seed, count = ("-", "-") if trial.seed is None else (str(trial.seed), str(trial.seed - first + 1))
        by = trial.why if one.fair else f"shows in peace! {trial.why}"
        lines.append(f"{one.mutant.name:38} {seed:>14} {count:>6} {trial.seconds:5.0f}  {by[:140]}")
    return "\n".join(lines)


def markdown(verdicts: Iterable[Verdict], first: int) -> str:
    """For docs/guarantees.md."""
    lines = ["| planted bug | what it breaks | found after |", "|---|---|---:|"]
    for one in verdicts:
        count = 0 if one.trial.seed is None else one.trial.seed - first + 1
        found = {0: f"`{one.trial.test}`" if one.trial.test else "not found", 1: "1 seed"}.get(count, f"{count} seeds")
        lines.append(f"| `{one.mutant.name}` | {one.mutant.breaks} | {found} |")
    return "\n".join(lines)


def campaign(mutants: Sequence[Mutant], options: argparse.Namespace) -> list[Verdict]:
    """All mutants, some at a time. Raises RuntimeError when the tree as it is does not pass."""
    with tempfile.TemporaryDirectory(prefix="headrace-mutants-") as folder:
        where = Path(folder)
        base = copy_of(ROOT, where / "as-it-is")
        as_it_is = try_tree(base, options.base_seeds, options.timeout)
        if as_it_is.why:
            raise RuntimeError(f"the tree as it is fails, at seed {as_it_is.seed}: {as_it_is.why}")
        say(f"the tree as it is passes seeds {options.base_seeds} in {as_it_is.seconds:.0f} s")
        for arguments in sorted({mutant.tests for mutant in mutants if mutant.tests}):
            if (trial := try_tests(base, arguments, options.timeout)).test:
                raise RuntimeError(f"the tree as it is fails {trial.test}")
        done = 0

        def one(mutant: Mutant) -> Verdict:
            nonlocal done
            verdict = try_mutant(mutant, base, where, options.seeds, options.timeout, as_it_is.peace)
            done += 1
            trial = verdict.trial
            what = (
                f"seed {trial.seed}: {trial.why[:140]}"
                if trial.seed is not None
                else trial.test or f"LIVES {trial.why}"
            )
            unfair = "" if verdict.fair else f"; shows in peace: {trial.peace[:140]}"
            say(f"{done}/{len(mutants)} {mutant.name}: {what} ({trial.seconds:.0f} s){unfair}")
            return verdict

        with ThreadPoolExecutor(options.processes) as pool:
            return list(pool.map(one, mutants))


def say(line: str) -> None:
    """Progress, beside the table."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these (default: all)")
    parser.add_argument("--seeds", default="0:1000", help="FIRST:STOP, at most so many for each mutant")
    parser.add_argument("--base-seeds", default="0:100", help="the tree as it is must pass these first")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds for one mutant")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/guarantees.md")
    options = parser.parse_args()
    mutants = {mutant.name: mutant for mutant in catalogue()}
    if unknown := [name for name in options.names if name not in mutants]:
        parser.error(f"there is no mutant {', '.join(unknown)}; there are {', '.join(mutants)}")
    chosen = [mutants[name] for name in options.names] or list(mutants.values())
    try:
        verdicts = campaign(chosen, options)
    except RuntimeError as error:
        say(str(error))
        return 2
    first = int(options.seeds.split(":")[0])
    print((markdown if options.markdown else table)(verdicts, first))
    alive = [one.mutant.name for one in verdicts if not one.trial.caught]
    unfair = [one.mutant.name for one in verdicts if not one.fair]
    say(f"{len(verdicts) - len(alive)} of {len(verdicts)} caught")
    for names, what in ((alive, "live"), (unfair, "show in peace")):
        if names:
            say(f"{what}: {', '.join(names)}")
    return 1 if alive or unfair else 0


if __name__ == "__main__":
    sys.exit(main())
