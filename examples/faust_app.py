"""A Faust app that scores card payments with Headrace, and does something of its own with the answers.

``faust -A examples.faust_app worker`` from the repository's root. docs/faust.md says what it promises and what it costs.
"""

import os
from pathlib import Path

import faust

from stream.build_faust import attach
from stream.config import load

config = load(Path(__file__).with_name("faust_fraud.yaml"), os.environ)

app = faust.App(
    config.name,
    broker=f"kafka://{config.kafka['bootstrap.servers']}",
    stream_wait_empty=False,  # events here may wait for labels: a rebalance must not wait for them
    broker_session_timeout=10,  # with Faust's 60 s a killed worker's tasks wait a minute for another owner
    broker_heartbeat_interval=1,
    web_bind="127.0.0.1",
)

pipeline = attach(app, config)


@app.agent(app.topic(config.topics()["predictions"], value_serializer="json"))
async def block(predictions: faust.Stream) -> None:
    """The rest of the app is Faust's as ever. Answers may repeat after a crash: what is done with them must not mind."""
    async for prediction in predictions:
        if prediction["score"] > 0.99:
            print(f"payment {prediction['id']} looks like fraud: {prediction['score']:.4f}", flush=True)
