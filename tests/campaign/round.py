"""A round: one pipeline over the whole stream, faults while it works, then the comparison with the uninterrupted run."""

import contextlib
import datetime as dt
import random
import re
import shutil
import subprocess
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import redis
from confluent_kafka import KafkaException

from tests.campaign.faults import FAULTS
from tests.campaign.oracle import Results, differences
from tests.campaign.stage import BATCHES, HEAL_S, Service, Stage, wall_ms
from tests.campaign.tally import Round

RESERVE = 2_500
"""Records that each task must have left for one more fault: its work of a second or two."""
GIVEN_UP_S = 5 * HEAL_S
IN_RECOVERY = 1 / 3
"""Of worker kills, how many are followed by the next fault before they are healed from."""
KEPT = Path("build/campaign")
"""What is left of a round that went wrong, for whoever looks into it."""

BROKEN = (AssertionError, RuntimeError, OSError, subprocess.SubprocessError, KafkaException, redis.RedisError)
"""How a round may end early; each is told as a divergence."""


class Open(NamedTuple):
    """A fault that is not healed from yet."""

    kind: str
    what: str
    ended_ms: float


def play(stage: Stage, expected: Results, owing: Counter[str], seed: int, faults_max: int, kept: Path = KEPT) -> Round:
    """One round of at most so many of the faults that are owing. Its divergences are in what it returns."""
    begun, chance = time.monotonic(), random.Random(seed)
    owing = Counter(owing)
    one = Round(seed, dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), revision(), sum(expected.predictions))
    service = Service(stage, chance.choice(BATCHES))
    print(f"round with seed {seed}: pipeline {service.name}, batches of {service.batch}", flush=True)
    try:
        with contextlib.closing(service):
            _begin(service)
            open_faults: list[Open] = []
            while sum(one.faults.values()) < faults_max and owing.total() and _has_work(service):
                open_faults.append(_strike(service, chance, owing, one))
                if open_faults[-1].kind == "worker" and chance.random() < IN_RECOVERY:
                    service.tend_for(chance.random() * 5)
                    if not service.eye.progressed_since(open_faults[-1].ended_ms) and owing.total():
                        continue
                _heal(service, open_faults, one)
                open_faults.clear()
                service.tend_for(min(chance.expovariate(2.0), 2.0))
            _heal(service, open_faults, one)
            service.finish()
            one.divergences = differences(service.beside(), expected)
    except BROKEN as error:
        traceback.print_exc()
        one.divergences.append(f"{type(error).__name__}: {error}"[:2000])
    finally:
        stage.mend()
    one.ended = dict(Counter(_without_numbers(said) for said in service.said_at_end))
    one.heal_s = {kind: sorted(seconds) for kind, seconds in one.heal_s.items()}
    one.seconds = round(time.monotonic() - begun, 1)
    if one.divergences or one.slow:
        shutil.copytree(service.directory, kept / f"{seed}-{service.name}", dirs_exist_ok=True)
    else:
        service.forget()
    return one


def revision() -> str:
    """Of the checkout, for the tally."""
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], check=False, capture_output=True, text=True)
    return told.stdout.strip()


def _begin(service: Service) -> None:
    for number in range(len(service.workers)):
        service.start(number)
    if not service.tend_until(lambda: service.eye.progressed_since(0) and min(service.eye.folded) > 0, HEAL_S):
        raise RuntimeError("the workers do not begin")


def _has_work(service: Service) -> bool:
    return min(service.eye.left_of(task) for task in range(len(service.eye.folded))) > RESERVE


def _strike(service: Service, chance: random.Random, owing: Counter[str], one: Round) -> Open:
    kinds = sorted(kind for kind in owing if owing[kind] > 0)
    kind = chance.choices(kinds, [owing[kind] for kind in kinds])[0]
    what = FAULTS[kind](service, chance)
    owing[kind] -= 1
    one.faults[kind] = one.faults.get(kind, 0) + 1
    one.kinds[what] = one.kinds.get(what, 0) + 1
    return Open(kind, what, wall_ms())


def _heal(service: Service, faults: list[Open], one: Round) -> None:
    """Wait until every task commits again; faults in a row are healed from together, each since its own end."""
    if not faults:
        return
    last_ms = faults[-1].ended_ms
    healed = service.tend_until(lambda: service.eye.progressed_since(last_ms), GIVEN_UP_S)
    now_ms = wall_ms()
    for fault in faults:
        seconds = round((now_ms - fault.ended_ms) / 1000, 1)
        one.heal_s.setdefault(fault.kind, []).append(seconds)
        if seconds > HEAL_S:
            one.slow.append(f"{fault.what}: {seconds:.0f} s")
    left = service.eye.left
    print(f"  {' + '.join(fault.what for fault in faults)}: {seconds:.1f} s ({left:,} records left)", flush=True)
    if not healed:
        raise RuntimeError(f"not healed from {[fault.what for fault in faults]} after {GIVEN_UP_S:.0f} s")


def _without_numbers(said: str) -> str:
    """So that equal reasons are counted together."""
    return re.sub(r"\d+\.\d+\.\d+\.\d+:\d+|\b[a-z]?[0-9a-f]{6,}\b", "…", said)[:300]
