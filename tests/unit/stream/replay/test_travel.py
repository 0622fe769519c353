"""The state at any place of a journal, from wherever one begins; nothing is written on the way."""

import pytest

from stream.errors import LineageChanged, RecordsGone
from stream.records import Entry, decode_journal
from tests.harness import Service
from tests.simulation.lab import settled
from tests.unit.stream.replay.past import service, travel, write


@pytest.fixture(scope="module")
def done() -> Service:
    return service(100)


def states(of: Service, **begin) -> dict[int, object]:
    """By the number of the next entry, the state, in a form that can be compared."""
    journey = travel(of)
    journey.begin(**begin)
    found = {journey.place.number: settled(journey.fold)}
    for offset, entry in journey.entries():
        journey.fold_entry(offset, entry)
        found[entry.number + 1] = settled(journey.fold)
    return found


def test_every_way_leads_to_the_same_state(done: Service) -> None:
    """From the start, or from any checkpoint: at each entry the state is the same."""
    whole = states(done)
    heads = [restored.head for restored in travel(done)._restored()]
    assert len(heads) >= 2
    for wanted in heads:
        part = states(done, fits=lambda head, wanted=wanted: head.entry_number == wanted.entry_number)
        assert min(part) == wanted.entry_number + 1
        assert all(state == whole[number] for number, state in part.items())


def test_a_checkpoint_that_does_not_fit_is_passed_over(done: Service) -> None:
    """The newest that fits is taken; when none does, the journal's start."""
    journey = travel(done)
    oldest = list(journey._restored())[-1].head
    journey.begin(lambda head: head.positions[0] <= oldest.positions[0])
    assert journey.head == oldest
    journey = travel(done)
    journey.begin(lambda _: False)
    assert journey.head is None
    assert journey.place.number == 0


def test_without_a_store_the_start_is_taken(done: Service) -> None:
    """Nobody need have a store to look back."""
    journey = travel(done, store=False)
    journey.begin(lambda _: True)
    assert journey.head is None


def test_only_up_to_an_entry(done: Service) -> None:
    """The entry that is named is the last one."""
    journey = travel(done)
    journey.begin()
    numbers = []
    for offset, entry in journey.entries(to=4):
        journey.fold_entry(offset, entry)
        numbers.append(entry.number)
    assert numbers == [0, 1, 2, 3, 4]


def test_entries_of_a_former_owner_are_void() -> None:
    """What it wrote behind the claim of the next one is passed over, and said."""
    made = service(30)
    journal = made.broker.task("test").journal
    stray = next(one for one in journal if isinstance(decode_journal(one), Entry))
    write(made.broker, 30, 40)
    made.run()
    journal.append(stray)  # of a token that is not the newest
    said: list[str] = []
    journey = travel(made, said)
    journey.begin()
    last = 0
    for offset, entry in journey.entries():
        journey.fold_entry(offset, entry)
        last = entry.number
    assert any("is void" in message for message in said)
    assert last == max(one.number for one in map(decode_journal, journal) if isinstance(one, Entry))


def test_inputs_that_are_gone_name_a_way_out() -> None:
    """Which checkpoint is young enough is said; from it, it works."""
    made = service(100)
    oldest = list(travel(made)._restored())[-1].head
    made.broker.trim("events", 10)
    with pytest.raises(RecordsGone, match="events/0 starts at offset 10") as gone:
        travel(made).begin()
    assert f"--from {oldest.entry_number + 1}" in gone.value.hint
    journey = travel(made)
    journey.begin(lambda head: head.entry_number <= oldest.entry_number)
    for offset, entry in journey.entries():
        journey.fold_entry(offset, entry)


def test_an_accepted_change_of_settings_is_folded() -> None:
    """What the journal says counts, and not what the configuration says now."""
    made = service(40)
    write(made.broker, 40, 80)
    changed = Service(
        made.config.model_copy(update={"predictions": made.config.predictions.model_copy(update={"threshold": 0.9})}),
        made.broker, made.store, batch_records=7, checkpoint_records=40, accept_lineage=True,
    )  # fmt: skip
    changed.run()
    said: list[str] = []
    journey = travel(made, said)  # with the former configuration
    journey.check()
    assert any("threshold: 0.9 -> 0.5" in message for message in said)
    journey.begin()
    for offset, entry in journey.entries():
        journey.fold_entry(offset, entry)
    assert journey.fold.plan.threshold == 0.9


def test_another_topic_is_refused(done: Service) -> None:
    """Offsets of a topic that was made anew mean other records."""
    made = service(20)
    made.broker.create("events")
    with pytest.raises(LineageChanged):
        travel(made).check()
