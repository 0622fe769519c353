"""aiokafka, which is beneath Faust (stream/runtime/faust.py). Its coroutines run on a loop in a thread."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from tests.clients.drivers import JOIN_S, POLL_MS, SESSION_MS, VERB_S, Tuning

CLOSE_S = 2.0


class Aiokafka:
    name = "aiokafka"
    sends_expire = False

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def version(self) -> str:
        return str(aiokafka.__version__)

    def producer(self, bootstrap: str, transactional_id: str, tuning: Tuning) -> "_Producer":
        return _Producer(self._run, bootstrap, transactional_id, tuning)

    def member(self, bootstrap: str, group: str, topic: str) -> "_Member":
        return _Member(self._run, bootstrap, group, topic)

    def read(self, bootstrap: str, topic: str, start: int, count: int, *, when_out_of_range: str) -> list[str]:
        return list(self._run(_read(bootstrap, TopicPartition(topic, 0), start, count, when_out_of_range)))

    def told(self, error: BaseException) -> str:
        retriable = isinstance(error, KafkaError) and error.retriable
        return f"{type(error).__name__} (retriable)" if retriable else type(error).__name__


async def _read(bootstrap: str, place: TopicPartition, start: int, count: int, when_out_of_range: str) -> list[str]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, isolation_level="read_committed",
        auto_offset_reset="none" if when_out_of_range == "stop" else when_out_of_range,
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign([place])
        consumer.seek(place, start)
        end = (await consumer.end_offsets([place]))[place]
        found: list[str] = []
        deadline = time.monotonic() + VERB_S
        while len(found) < count and await consumer.position(place) < end and time.monotonic() < deadline:
            records = (await consumer.getmany(timeout_ms=500)).get(place, [])
            found += [(record.value or b"").decode() for record in records]
        return found[:count]
    finally:
        await consumer.stop()


class _Producer:
    def __init__(self, run: Callable[..., Any], bootstrap: str, transactional_id: str, tuning: Tuning) -> None:
        self._run = run

        async def make() -> AIOKafkaProducer:  # it wants to be made on its loop
            return AIOKafkaProducer(
                bootstrap_servers=bootstrap, transactional_id=transactional_id, linger_ms=0,
                transaction_timeout_ms=tuning.transaction_timeout_ms, request_timeout_ms=tuning.request_timeout_ms,
            )  # fmt: skip

        self._producer = run(make())

    def init(self) -> None:
        self._run(self._producer.start())

    def begin(self) -> None:
        self._run(self._producer.begin_transaction())

    def send(self, topic: str, value: str) -> Callable[[], None]:
        future = self._run(self._producer.send(topic, value.encode(), partition=0))

        async def acknowledged() -> None:
            await asyncio.shield(future)

        return lambda: self._run(acknowledged())

    def offsets(self, topic: str, offset: int, member: object) -> None:
        self._run(self._producer.send_offsets_to_transaction({TopicPartition(topic, 0): offset}, member))

    def commit(self) -> None:
        self._run(self._producer.commit_transaction())

    def abort(self) -> None:
        self._run(self._producer.abort_transaction())

    def close(self) -> None:
        async def stop() -> None:
            with suppress(Exception):
                await asyncio.wait_for(self._producer.stop(), CLOSE_S)

        self._run(stop())


class _Member:
    def __init__(self, run: Callable[..., Any], bootstrap: str, group: str, topic: str) -> None:
        self._run, self._group = run, group

        async def make() -> AIOKafkaConsumer:
            consumer = AIOKafkaConsumer(
                topic, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False,
                session_timeout_ms=SESSION_MS, heartbeat_interval_ms=SESSION_MS // 4,
            )  # fmt: skip
            await consumer.start()  # joins the group
            return consumer

        self._consumer = run(make())
        deadline = time.monotonic() + JOIN_S
        while not self._consumer.assignment():
            run(self._consumer.getmany(timeout_ms=POLL_MS))
            assert time.monotonic() < deadline, f"{group}: no partition was given"

    def proof(self) -> Any:
        return self._group  # its producer takes a group's name only

    def close(self) -> None:
        self._run(self._consumer.stop())
