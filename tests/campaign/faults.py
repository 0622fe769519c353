"""What goes wrong: one function a kind, all chance from one seed. Each returns when its cause is over; healing comes after.

Read stage.py for what they act on, proxy.py for the network, __main__.py for how often.
"""

import random
import signal
from collections.abc import Callable
from typing import TypeAlias

from tests.campaign.proxy import Proxy
from tests.campaign.stage import PAST_EVERY_TIMEOUT_S, SESSION_S, WORKERS, Service

Fault: TypeAlias = Callable[[Service, random.Random], str]
"""Does it, and says what exactly."""


def _some_worker(service: Service, chance: random.Random) -> int:
    """Mostly one that owns something."""
    owners = [owner for task in range(len(service.stage.stream.counts)) if (owner := service.owner(task)) is not None]
    return chance.choice(owners) if owners and chance.random() < 0.95 else chance.randrange(WORKERS)


def kill_worker(service: Service, chance: random.Random) -> str:
    """Kill -9. A third of them comes while the last one is still being healed from: see __main__.py."""
    number = _some_worker(service, chance)
    service.kill(number)
    service.start(number)
    return "worker"


def kill_broker(service: Service, chance: random.Random) -> str:
    """Kill -9, and a start on the same directory and port some time later."""
    kafka = service.stage.kafka
    kafka.kill()
    away_s = chance.choice([0.0, 1.0, SESSION_S + 1])
    service.tend_for(away_s)
    kafka.start()
    return f"broker, away {away_s:g} s"


def kill_redis(service: Service, chance: random.Random) -> str:
    """Kill -9, and back with all, with old or with no content; or it stays and is flushed."""
    redis = service.stage.redis
    if chance.random() < 0.25:
        service.stage.flush_redis()
        return "redis flushed"
    redis.kill()
    service.tend_for(chance.choice([0.0, 0.5, 3.0]))
    return f"redis, {service.stage.redis_again(chance)}"


def two_at_once(service: Service, chance: random.Random) -> str:
    """Two of them together, or one while another is being healed from."""
    stage = service.stage
    which = chance.choice(["worker+broker", "worker+redis", "both workers", "broker+redis", "worker in recovery"])
    if which == "both workers":
        for number in range(WORKERS):
            service.kill(number)
        for number in range(WORKERS):
            service.start(number)
        return which
    if which == "worker in recovery":
        number = _some_worker(service, chance)
        claims = sum(service.eye.claims)
        service.kill(number)
        service.start(number)
        service.tend_until(lambda: sum(service.eye.claims) > claims, 3 * SESSION_S)
        for again in range(WORKERS):  # whoever took over is in the middle of it
            if chance.random() < 0.7:
                service.kill(again)
                service.start(again)
        return which
    if "worker" in which:
        service.kill(_some_worker(service, chance))
    if "broker" in which:
        stage.kafka.kill()
    if "redis" in which:
        stage.redis.kill()
        service.tend_for(chance.random() * 2)
        stage.redis_again(chance)
    if "broker" in which:
        service.tend_for(chance.random())
        stage.kafka.start()
    service.tend()
    return which


def freeze(service: Service, chance: random.Random) -> str:
    """SIGSTOP past every timeout, then SIGCONT: of a worker, which comes back as a zombie, or of the broker."""
    if chance.random() < 0.3:
        service.stage.kafka.freeze()
        service.tend_for(chance.choice([SESSION_S / 2, SESSION_S + 1.5]))
        service.stage.kafka.thaw()
        return "broker frozen"
    worker = service.workers[_some_worker(service, chance)]
    assert worker is not None
    worker.signal(signal.SIGSTOP)
    service.tend_for(PAST_EVERY_TIMEOUT_S)
    worker.signal(signal.SIGCONT)
    return "worker frozen"


# --- the network ------------------------------------------------------------------------------------------------------------


def _cut(link: Proxy, chance: random.Random) -> float:
    link.cut(reset=chance.random() < 0.5)
    return 0.0


def _cut_answers(link: Proxy, chance: random.Random) -> float:
    link.cut_answer(chance.choice([1, 1, 5]))
    return 1.0


def _refuse(link: Proxy, chance: random.Random) -> float:
    link.refuse()
    link.cut()
    return chance.choice([1.0, SESSION_S + 1])


def _hold(link: Proxy, chance: random.Random) -> float:
    link.hold()
    return chance.choice([1.0, SESSION_S + 1, PAST_EVERY_TIMEOUT_S])


def _hold_requests(link: Proxy, chance: random.Random) -> float:
    link.hold("up")
    return chance.choice([1.0, SESSION_S + 1])


def _hold_answers(link: Proxy, chance: random.Random) -> float:
    link.hold("down")
    return chance.choice([1.0, SESSION_S + 1])


def _delay(link: Proxy, chance: random.Random) -> float:
    link.slow(delay_s=chance.choice([0.02, 0.1, 0.5]), way=chance.choice(["up", "down", None]))
    return 2.0


def _narrow(link: Proxy, chance: random.Random) -> float:
    """A fraction of what passes in fair weather, which is some hundred kB a second and direction."""
    link.slow(bytes_per_s=chance.choice([100_000, 20_000]))
    return 2.0


WEATHER: dict[str, Callable[[Proxy, random.Random], float]] = {
    "cut": _cut,
    "answer cut": _cut_answers,
    "refused": _refuse,
    "silence": _hold,
    "requests held": _hold_requests,
    "answers held": _hold_answers,
    "delay": _delay,
    "narrow": _narrow,
}


def network(service: Service, chance: random.Random) -> str:
    """Bad weather for one worker or both, towards Kafka mostly, towards Redis, or both."""
    stage = service.stage
    which = chance.choice(list(WEATHER))
    towards = chance.choices(["kafka", "redis", "kafka and redis"], [7, 2, 1])[0]
    hit = range(WORKERS) if chance.random() < 0.4 else [_some_worker(service, chance)]
    links = [link for number in hit for link in stage.links(towards, number)]
    seed = chance.random()  # all links have the same weather
    for_s = max(WEATHER[which](link, random.Random(seed)) for link in links)
    service.tend_for(for_s)
    stage.calm_weather()
    return f"{which} to {towards}"


FAULTS: dict[str, Fault] = {
    "worker": kill_worker,
    "broker": kill_broker,
    "redis": kill_redis,
    "double": two_at_once,
    "network": network,
    "freeze": freeze,
}
