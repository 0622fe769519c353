"""Fraud: one pass over the handbook's card payments, against forests that are trained anew each week.

Everything knows a label seven days after its event and not before. Online learners run through the engine as fraud.yaml
says, from 1 April on. The baselines are scikit-learn's, trained for each week of June on a week of data that ended a week
before, with the handbook's features and with those of fraud.yaml. All are judged on the same events of 1 to 29 June: the
handbook's population, below. Nobody sees ``TX_FRAUD_SCENARIO``, and nothing is made of how amounts are rounded.

The environment's ``QUALITY_CACHE`` names a directory that keeps the baselines' scores; without it all are computed.

Y.-A. Le Borgne, W. Siblini, B. Lebichot, G. Bontempi (2022), *Reproducible Machine Learning for Credit Card Fraud
Detection: Practical Handbook*, Université Libre de Bruxelles.
"""

import inspect
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.quality.streams import table, verdict
from benchmarks.quality.windows_reference import windows
from stream.config import load
from stream.replay.backtest import backtest
from stream.replay.bootstrap import compare, draw, resampling
from stream.replay.measures import Binary

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FILES = (
    "transactions_2018-04-01_2018-04-30.csv.gz",
    "transactions_2018-05-01_2018-05-31.csv.gz",
    "transactions_2018-06-01_2018-06-29.csv.gz",
)
COLUMNS = {
    "TRANSACTION_ID": "id", "TX_DATETIME": "time", "CUSTOMER_ID": "customer", "TERMINAL_ID": "terminal",
    "TX_AMOUNT": "amount", "TX_TIME_DAYS": "day", "TX_FRAUD": "fraud",
}  # fmt: skip
FIRST, END = 61, 90
"""Days since 1 April that are judged: 1 to 29 June."""
WEEKS = ((61, 68), (68, 75), (75, 82), (82, 90))
WEEK = 7
DELAY = "7d"
TOP = 100
BASELINE = "forest, handbook's features"
NEAR, AIM = 0.01, 0.02


def payments(data: Path) -> pd.DataFrame:
    """All events in their order, without the scenario."""
    parts = [pd.read_csv(data / "fraud" / name, usecols=list(COLUMNS), parse_dates=["TX_DATETIME"]) for name in FILES]
    return pd.concat(parts, ignore_index=True).rename(columns=COLUMNS)


# --- the judge ------------------------------------------------------------------------------------------------------------


def population(frame: pd.DataFrame) -> Mask:
    """``get_train_test_set`` of the handbook: of each test week, the events of cards that are not known as compromised.

    Known are cards with a fraud in the week that the week's models are trained on (it ended a week before the test week
    begins), and, as the test week goes on, those with a fraud eight days before.
    """
    day, card, fraud = (frame[name].to_numpy() for name in ("day", "customer", "fraud"))
    judged = np.zeros(len(frame), np.bool_)
    for start, stop in WEEKS:
        known = set(card[(day >= start - 2 * WEEK) & (day < start - WEEK) & (fraud == 1)].tolist())
        for today in range(start, stop):
            known |= set(card[(day == today - WEEK - 1) & (fraud == 1)].tolist())
            judged |= (day == today) & ~np.isin(card, list(known))
    return judged


def card_precision(frame: pd.DataFrame, scores: Floats, *, forget_found: bool = True) -> float:
    """``card_precision_top_k`` of the handbook: the share of frauds' cards among the ``TOP`` best of each day, on average.

    A card's score is its highest of the day. With ``forget_found`` cards that were found on a day are not looked at later,
    as in the handbook; the scores of fraud itself give the ceiling.
    """
    found: set[int] = set()
    shares = []
    told = pd.DataFrame({"day": frame["day"], "card": frame["customer"], "fraud": frame["fraud"], "score": scores})
    for _, today in told.groupby("day"):
        cards = today[~today["card"].isin(found)].groupby("card")[["score", "fraud"]].max()
        best = cards.sort_values("score", ascending=False, kind="stable").head(TOP)
        hits = best.index[best["fraud"] == 1]
        shares.append(len(hits) / TOP)
        if forget_found:
            found |= set(hits)
    return float(np.mean(shares))


# --- baselines ------------------------------------------------------------------------------------------------------------


def handbook_features(frame: pd.DataFrame) -> pd.DataFrame:
    """The handbook's fifteen: amount, weekend, night, habits of the card, risk of the terminal."""
    own = pd.DataFrame(
        {
            "amount": frame["amount"],
            "weekend": frame["time"].dt.day_of_week >= 5,
            "night": frame["time"].dt.hour <= 6,
        }
    )
    over = ["1d", "7d", "30d"]
    card = windows(frame, by="customer", of="amount", over=over)
    risk = windows(frame, by="terminal", of="fraud", over=over, lag=DELAY)
    return pd.concat([own, card, risk], axis=1).fillna(0.0).astype(np.float32)


def own_features(frame: pd.DataFrame) -> pd.DataFrame:
    """Those of fraud.yaml, by the independent computation."""
    habits = windows(
        frame, by="customer", of="amount", over=["7d", "30d"], compute=["mean", "std", "max"], present=False
    )
    mean = habits["amount_mean_30d_by_customer"].replace(0.0, np.nan)
    above = frame["amount"] - habits["amount_mean_30d_by_customer"]
    made = pd.DataFrame(
        {
            "amount": frame["amount"],
            "amount_to_mean": frame["amount"] / mean,
            "max_7d_to_mean": habits["amount_max_7d_by_customer"] / mean,
            "max_30d_to_mean": habits["amount_max_30d_by_customer"] / mean,
            "amount_above_mean": above,
            "deviations": above / habits["amount_std_30d_by_customer"].replace(0.0, np.nan),
        }
    )
    count = windows(frame, by="customer", of="amount", over=["1d"], compute=["count"])
    over = ["1d", "7d", "14d", "21d", "30d"]
    risk = windows(frame, by="terminal", of="fraud", over=over, compute=["sum", "mean"], lag=DELAY)
    return pd.concat([made, habits, count, risk], axis=1).astype(np.float32)


def weekly(frame: pd.DataFrame, features: pd.DataFrame, make: Callable[[], Any]) -> Floats:
    """Scores of a model that is trained anew for each test week, on the week that ended a week before it."""
    day, fraud, table_ = frame["day"].to_numpy(), frame["fraud"].to_numpy(), features.to_numpy()
    scores = np.zeros(len(frame))
    for start, stop in WEEKS:
        seen = (day >= start - 2 * WEEK) & (day < start - WEEK)
        asked = (day >= start) & (day < stop)
        scores[asked] = make().fit(table_[seen], fraud[seen]).predict_proba(table_[asked])[:, 1]
    return scores


def logistic() -> Any:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only here
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - only here

    return RandomForestClassifier(500, random_state=0, n_jobs=len(os.sched_getaffinity(0)))


def baselines(frame: pd.DataFrame) -> dict[str, Floats]:
    """The scores of all events; only those of June are there."""
    sets = {"handbook's": handbook_features, "our": own_features}
    contestants = (
        ("logistic regression, handbook's features", "handbook's", logistic),
        (BASELINE, "handbook's", forest),
        ("forest, our features", "our", forest),
    )
    made: dict[str, pd.DataFrame] = {}
    scores = {}
    for name, kind, make in contestants:
        kept = _kept(name)
        if kept is not None and kept.exists():
            scores[name] = np.load(kept)
            continue
        started = time.process_time()
        if kind not in made:
            made[kind] = sets[kind](frame)
        scores[name] = weekly(frame, made[kind], make)
        print(f"  {name}: {time.process_time() - started:.0f} s of CPU", flush=True)
        if kept is not None:
            np.save(kept, scores[name])
    return scores


def _kept(name: str) -> Path | None:
    place = os.environ.get("QUALITY_CACHE")
    if not place:
        return None
    Path(place).mkdir(parents=True, exist_ok=True)
    return Path(place) / ("fraud-" + "-".join("".join(c if c.isalnum() else " " for c in name).split()) + ".npy")


# --- the engine -----------------------------------------------------------------------------------------------------------


def online(data: Path, work: Path) -> dict[str, Floats]:
    """The scores of fraud.yaml's learners, of all events in their order, as ``headrace backtest`` emits them."""
    config = load(Path(__file__).with_name("fraud.yaml"), {})
    started = time.process_time()
    files = [data / "fraud" / name for name in FILES]
    done = backtest(config, source=files, out=work / "backtest", report=False)
    told = done.predictions()
    print(f"  the engine: {len(told):,} events, {time.process_time() - started:.0f} s of CPU", flush=True)
    names = {"score": config.champion, **{f"challengers.{name}": name for name in config.learners}}
    return {names[column]: told[column].to_numpy(np.float64) for column in names if column in told}


# --- the table ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """Of the judged events only."""

    frame: pd.DataFrame
    mask: Mask

    def rows(self, everyone: dict[str, Floats]) -> tuple[list[list[str]], dict[str, dict[str, dict[str, Any]]]]:
        """A row a contestant, and by name how its measures differ from the baseline's."""
        days = (self.frame["day"].to_numpy() - FIRST).astype(np.int64)
        plan = resampling(END - FIRST)
        fraud = self.frame["fraud"].to_numpy() == 1
        drawn = {
            name: draw(Binary(fraud, scores[self.mask], threshold=0.5, probabilities=False), days, plan)
            for name, scores in everyone.items()
        }
        rows, differences = [], {}
        for name, scores in everyone.items():
            differences[name] = compare(drawn[BASELINE], drawn[name], plan)
            own, one = drawn[name].exact, differences[name]["average_precision"]
            against = f"{one['difference']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})"
            top = (card_precision(self.frame, scores[self.mask], forget_found=forget) for forget in (True, False))
            rows.append([
                name, f"{own['average_precision']:.3f}", "" if name == BASELINE else against, f"{own['roc_auc']:.3f}",
                *(f"{share:.3f}" for share in top),
            ])  # fmt: skip
        sure = self.frame["fraud"].to_numpy(np.float64)
        ceilings = (card_precision(self.frame, sure, forget_found=forget) for forget in (True, False))
        rows.append(["who knows all", "1.000", "", "1.000", *(f"{share:.3f}" for share in ceilings)])
        return rows, differences


HEADER: Sequence[str] = (
    "contestant", "average precision", "against the forest (95 %)", "ROC AUC", f"cards @{TOP}", "cards, found ones stay",
)  # fmt: skip


def run(data: Path) -> bool:
    """Print the table; whether every figure is reached."""
    frame = payments(data)
    mask = population(frame)
    judged = Judged(frame[mask], mask)
    print(
        f"Fraud: {len(frame):,} payments; judged {mask.sum():,} of June, {judged.frame['fraud'].sum():,} of them fraud"
    )
    print(inspect.getsource(population), flush=True)
    with tempfile.TemporaryDirectory(prefix="headrace-fraud-") as place:
        ours = online(data, Path(place))
    everyone = {**baselines(frame), **{f"online: {name}": scores for name, scores in ours.items()}}
    rows, differences = judged.rows(everyone)
    print(table(HEADER, rows))
    best = differences[f"online: {next(iter(ours))}"]["average_precision"]
    difference: float = best["difference"]
    return verdict(
        {
            f"average precision at most {NEAR} below the forest's: {difference:+.3f}": difference >= -NEAR,
            f"average precision {AIM} above the forest's: {difference:+.3f}": difference >= AIM,
        }
    )
