"""Histories that once failed, each with what it was. Shortened by shrink.py."""

from tests.simulation.history import History
from tests.simulation.world import World


def _labels(wait: str, **more: object) -> dict[str, object]:
    """A topic of their own."""
    return {"topic": "labels", "id": "id", "value": "y", "time": "time", "wait": wait, "park": "20s", **more}


_SILENCE = {"value": 0, "after": "25s"}
_MISBEHAVING = {
    "factory": "tests.unit.stream.pipeline.estimators:raises",
    "parameters": {"limit": 2.0, "score_limit": 2.6},
}


def _watch(
    signal: object, response: str, learner: str, *, threshold: float = 3.0, rearm: int = 10
) -> dict[str, object]:
    """Page-Hinkley on a signal."""
    detector = {"page_hinkley": {"threshold": threshold, "min_instances": 5, "rearm": rearm}}
    return {"signal": signal, "detector": detector, "response": response, "learners": [learner]}


REGRESSIONS: dict[str, History] = {
    # At least once: the newest seq of an output hid that records before it were lost, so recovery never said them.
    "a send lost in the middle": History(
        501,
        World(
            changes={
                "problem": "anomaly",
                "labels": _labels("70s", assume=_SILENCE),
                "learners": {
                    "trees": {"river.anomaly.HalfSpaceTrees": {"seed": 1, "window_size": 10, "height": 3, "n_trees": 3}}
                },
                "detectors": [
                    _watch({"feature": "a"}, "reset", "champion"),
                    _watch("label", "reset", "champion"),
                ],
                "learn_errors_max": 2,
                "time_jump_max": "1d",
            },
            events=[
                [
                    b'{"id":"0-1","card":"c1","time":1000,"a":-0.5700373867791361,"b":0.003205233545119716}',
                    b'{"id":"0-2","card":"c2","time":2000,"a":0.9717788943805585,"b":-0.17464082773034023}',
                    b'{"id":"0-3","card":"c0","time":3000,"a":-0.3164597608581122,"b":2.875897989484677}',
                    b'{"id":"0-4","card":"c1","time":4000,"a":-0.26686291162544823,"b":-0.7362876262254544}',
                    b'{"id":"0-5","card":"c2","time":5001,"a":1.4443953823310107,"b":1.5436351713272163}',
                    b'{"id":"0-6","card":"c0","time":6001,"a":-1.2354680021203577,"b":-0.13651112535521637}',
                    b'{"id":"0-7","card":"c1","time":7001,"a":0.5105918826680108,"b":-0.565467609322208}',
                    b'{"id":"0-8","card":"c2","time":5000,"a":1.5970590287113178,"b":0.23791799577782696}',
                    b'{"id":"0-9","card":"c0","time":6000,"a":-0.7662105194336054,"b":-0.4353293061677278}',
                    b'{"id":"0-10","card":"c1","time":10000,"a":-0.3729797921760215,"b":0.27163633035307094}',
                    b'{"id":"0-11","card":"c2","time":11000,"a":0.2585121340086994,"b":-1.2288669923012119}',
                    b'{"id":"0-13","card":"c1","time":13000,"a":-2.751774353631251,"b":-0.04584056801273054}',
                    b'{"id":"0-14","card":"c2","time":14000,"a":-1.0993199354432401,"b":0.31362701328175874}',
                    b'{"id":"0-15","card":"c0","time":15000,"a":-0.7926048170819712,"b":1.8892410644038498}',
                    b'{"id":"0-16","card":"c1","time":16000,"a":-0.9266271020684888,"b":-0.08871388601209258}',
                ]
            ],
            labels=[
                [
                    b'{"id":"nobody","y":false,"time":-6000}',
                    b'{"id":"0-1","y":true,"time":2000}',
                    b'{"id":"0-4","y":false,"time":13000}',
                    b'{"id":"0-6","y":false,"time":12001}',
                    b'{"id":"0-3","y":false,"time":14000}',
                    b'{"id":"0-10","y":false,"time":14000}',
                    b'{"id":"0-18","y":false,"time":18000}',
                    b'{"id":"0-13","y":true,"time":22000}',
                    b'{"id":"0-12","y":false,"time":21000}',
                    b'{"id":"0-19","y":false,"time":22000}',
                    b'{"id":"0-16","y":true,"time":25000}',
                    b'{"id":"0-17","y":true,"time":27000}',
                    b'{"id":"0-23","y":false,"time":29000}',
                    b'{"id":"0-32","y":false,"time":29000}',
                    b'{"id":"0-18","y":true,"time":28000}',
                    b'{"id":"0-20","y":true,"time":31000}',
                    b'{"id":"0-14","y":true,"time":32000}',
                    b'{"id":"0-31","y":true,"time":32000}',
                    b'{"id":"0-25","y":false,"time":34000}',
                    b'{"id":"0-27","y":false,"time":37000}',
                    b'{"id":"0-26","y":false,"time":40000}',
                    b'{"id":"0-28","y":true,"time":38000}',
                    b'{"id":"0-23","y":false,"time":42000}',
                    b'{"id":"0-30","y":false,"time":42000}',
                    b'{"id":"0-30","y":false,"time":44000}',
                    b'{"id":"0-10","y":true,"time":81000}',
                    b'{"id":"0-11","y":false,"time":82000}',
                    b'{"id":"0-8","y":true,"time":90000}',
                    b'{"id":"0-20","y":false,"time":94000}',
                    b'{"id":"0-18","y":true,"time":114000}',
                ]
            ],
        ),
        delivery="at_least_once",
        fed=True,
        workers=2,
        batch_records=50,
        checkpoint_records=5,
        actions=[
            ("turn", 0, 3),
            ("turn", 1, 20),
            ("turn", 0, 20),
            ("turn", 0, 8),
            ("turn", 1, 8),
            ("turn", 1, 20),
            ("turn", 1, 1),
            ("gap", 3),
            ("feed", 0, 1),
            ("turn", 1, 1),
            ("jobs", 1, 1),
            ("turn", 0, 8),
            ("turn", 0, 20),
            ("turn", 1, 8),
            ("turn", 0, 3),
            ("turn", 1, 3),
            ("turn", 1, 3),
            ("turn", 1, 8),
            ("turn", 1, 8),
            ("turn", 1, 20),
            ("turn", 0, 20),
        ],
        faults={
            ("", 9): ("meanwhile", 10),
            ("marks", 5): ("unanswered",),
            ("send to partition", 1): ("unanswered",),
            ("send to partition", 2): ("lost",),
            ("send to partition", 3): ("unanswered",),
            ("send to partition", 8): ("lost",),
        },
    ),
    # At least once: a zombie's late claim voided what the owner wrote behind it, and the owner never noticed.
    "a zombie's claim behind the owner's": History(
        1443,
        World(
            changes={
                "problem": "binary",
                "labels": _labels("60s", conflict="first"),
                "learners": {
                    "logistic": ["river.preprocessing.StandardScaler", "river.linear_model.LogisticRegression"],
                    "tree": {"river.tree.HoeffdingTreeClassifier": {"grace_period": 10}},
                    "misbehaving": _MISBEHAVING,
                },
                "detectors": [],
                "learn_errors_max": 10,
                "time_jump_max": "1d",
            },
            events=[[b'{"id":"0-22","card":"c1","time":22000,"a":-0.22181053063604425,"b":-1.9314154461236632}']],
            labels=[[b'{"id":"nobody","y":false,"time":120000}']],
        ),
        delivery="at_least_once",
        fed=False,
        workers=2,
        batch_records=50,
        checkpoint_records=30,
        actions=[
            ("turn", 1, 20),
            ("feed", 2, 30),
            ("turn", 0, 8),
        ],
        faults={
            ("", 12): ("freeze", 12.0, 25),
        },
    ),
    # The store was away for long, so a worker folded the journal without it; the records were gone, and it gave up.
    "retention while the store is away": History(
        20143,
        World(
            changes={
                "problem": "binary",
                "labels": _labels("70s", assume=_SILENCE),
                "learners": {"misbehaving": _MISBEHAVING},
                "detectors": [
                    _watch("score", "alarm", "misbehaving"),
                    _watch({"feature": "a"}, "alarm", "champion", threshold=1.0, rearm=0),
                ],
                "learn_errors_max": 0,
                "time_jump_max": "1d",
            },
            events=[[b'{"id":"0-29","card":"c2","time":29000,"a":-0.34135246034390176,"b":2.2264569646002372}']],
            labels=[
                [
                    b'{"id":"0-16","y":true,"time":69000}',
                    b'{"id":"0-28","y":true,"time":72000}',
                    b'{"id":"0-21","y":true,"time":94000}',
                    b'{"id":"0-6","y":false,"time":96000}',
                ]
            ],
        ),
        delivery="exactly_once",
        fed=False,
        workers=1,
        batch_records=50,
        checkpoint_records=5,
        actions=[
            ("turn", 0, 1),
            ("feed", 2, 1),
            ("turn", 0, 20),
            ("turn", 0, 1),
            ("feed", 1, 10),
            ("turn", 0, 1),
            ("store", "away", 0),
            ("turn", 0, 3),
            ("outage", 0, 2.0),
            ("trim", 2),
            ("turn", 0, 1),
            ("turn", 0, 20),
            ("turn", 0, 8),
            ("time", 0.1),
            ("turn", 0, 20),
            ("turn", 0, 1),
            ("turn", 0, 8),
            ("turn", 0, 3),
        ],
        faults={},
    ),
}
