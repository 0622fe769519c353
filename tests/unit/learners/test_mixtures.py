"""How weights follow losses: each rule against its formula, and what each promises when experts change."""

import math
import random

import pytest

from learners.mixtures import Exponential, FixedShare, Scale, Stack, absolute, average, log_loss, squared

LOG = log_loss(1e-4)
NAN = float("nan")


def fixed_share(count=2, *, share=0.01, rate=1.0, loss=LOG, scaled=False):
    return FixedShare(count, loss, share=share, rate=rate, scaled=scaled)


def exponential(count=2, *, memory=1000.0, rate=1.0, loss=LOG, scaled=False):
    return Exponential(count, loss, memory=memory, rate=rate, scaled=scaled)


def stack(count=2, *, memory=10_000.0, prior=1.0, clip=1e-4):
    return Stack(count, memory=memory, prior=prior, clip=clip)


def test_fixed_share_is_the_papers_update():
    """Herbster and Warmuth (1998): by the loss, then a part of each weight goes to the others in equal parts."""
    mixture = fixed_share(3, share=0.1)
    mixture.learn([0.9, 0.5, 0.2], 1.0, 1.0)
    by_loss = [0.9 / 3, 0.5 / 3, 0.2 / 3]
    by_loss = [own / sum(by_loss) for own in by_loss]
    expected = [0.9 * own + 0.1 * (1.0 - own) / 2 for own in by_loss]
    assert mixture.weights == pytest.approx(expected, abs=1e-15)


def test_without_fading_the_log_loss_is_bayes_rule():
    """A weight is the likelihood of all labels under that expert's scores."""
    draw = random.Random(1)
    mixture, likelihood = exponential(2, memory=1e12), [1.0, 1.0]
    for _ in range(50):
        given, target = [draw.uniform(0.1, 0.9), draw.uniform(0.1, 0.9)], float(draw.random() < 0.5)
        mixture.learn(given, target, 1.0)
        likelihood = [own * (p if target else 1.0 - p) for own, p in zip(likelihood, given, strict=True)]
    assert mixture.weights == pytest.approx([own / sum(likelihood) for own in likelihood])


@pytest.mark.parametrize("make", [fixed_share, exponential])
def test_weights_add_up_to_one_and_the_better_one_leads(make):
    """After every label."""
    draw = random.Random(2)
    mixture = make(3)
    for _ in range(500):
        target = float(draw.random() < 0.3)
        mixture.learn([0.8 if target else 0.2, 0.5, draw.random()], target, 1.0)
        assert sum(mixture.weights) == pytest.approx(1.0)
    assert mixture.weights[0] > 0.9


def test_a_change_moves_weight_within_some_labels():
    """After 5,000 labels at which one expert was the better, the other leads within a dozen; without sharing a thousand
    labels are not enough.
    """
    shared, hedge = fixed_share(), exponential(memory=1e9)
    for mixture in (shared, hedge):
        for _ in range(5000):
            mixture.learn([0.9, 0.5], 1.0, 1.0)
    for mixture, lead in ((shared, 12), (hedge, 1000)):
        labels = 0
        while mixture.weights[1] < 0.5 and labels < lead:
            mixture.learn([0.1, 0.9], 1.0, 1.0)
            labels += 1
        assert (mixture.weights[1] >= 0.5) == (mixture is shared)


def test_memory_is_for_how_long_losses_count():
    """With a memory of 20 labels an old lead is forgotten soon; with one of 100,000 it is not."""
    led = {}
    for memory in (20, 100_000):
        mixture = exponential(memory=memory)
        for _ in range(1000):
            mixture.learn([0.9, 0.5], 1.0, 1.0)
        for _ in range(100):
            mixture.learn([0.5, 0.9], 1.0, 1.0)
        led[memory] = mixture.weights[1] > 0.5
    assert led == {20: True, 100_000: False}


@pytest.mark.parametrize("make", [fixed_share, exponential])
def test_an_expert_without_a_score_is_left_out_and_keeps_what_it_weighs(make):
    """The others' weights count for the whole of the score; losses move what they weigh among one another."""
    mixture = make(3, **({"share": 1e-9} if make is fixed_share else {"memory": 1e12}))
    mixture.learn([0.9, 0.8, 0.3], 1.0, 1.0)
    before = list(mixture.weights)
    assert mixture.mix([NAN, 0.4, 0.4]) == pytest.approx(0.4)
    mixture.learn([NAN, 0.9, 0.1], 1.0, 1.0)
    assert mixture.weights[0] == pytest.approx(before[0], abs=1e-8)
    assert mixture.weights[1] / mixture.weights[2] == pytest.approx(9 * before[1] / before[2], rel=1e-6)


@pytest.mark.parametrize("make", [fixed_share, exponential, stack])
def test_where_nobody_gave_a_score_there_is_none_and_nothing_is_learned(make):
    """Neither an answer nor a loss."""
    mixture = make(2)
    before = mixture.state() if make is stack else list(mixture.weights)
    assert math.isnan(mixture.mix([NAN, NAN]))
    mixture.learn([NAN, NAN], 1.0, 1.0)
    assert (mixture.state() if make is stack else mixture.weights) == before


@pytest.mark.parametrize("make", [fixed_share, exponential, stack])
def test_certain_and_wrong_is_bad_but_not_the_end(make):
    """Hard answers of 0 and 1 are cut before their logarithm is taken."""
    mixture = make(2)
    for _ in range(50):
        mixture.learn([0.0, 0.6], 1.0, 1.0)
    assert all(math.isfinite(own) for own in mixture.weights)
    assert math.isfinite(mixture.mix([0.0, 1.0]))
    mixture.learn([1.0, 0.5], 1.0, 1.0)
    assert math.isfinite(mixture.mix([1.0, 1.0]))


@pytest.mark.parametrize(("make", "near"), [(fixed_share, 1e-9), (exponential, 1e-9), (stack, 0.02)])
def test_a_label_of_weight_two_is_a_label_twice(make, near):
    """As Bayes' rule has it, without sharing or fading between the two; of a stack nearly so, which looks at each anew."""
    quiet = {"share": 1e-12} if make is fixed_share else {"memory": 1e15}
    once, twice, single = (make(2, **quiet) for _ in range(3))
    once.learn([0.7, 0.4], 1.0, 2.0)
    for _ in range(2):
        twice.learn([0.7, 0.4], 1.0, 1.0)
    single.learn([0.7, 0.4], 1.0, 1.0)
    assert once.mix([0.7, 0.4]) == pytest.approx(twice.mix([0.7, 0.4]), abs=near)
    assert once.mix([0.7, 0.4]) > single.mix([0.7, 0.4]) + 2 * near


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("loss", [squared, absolute])
def test_the_unit_of_a_value_does_not_matter(factor, loss):
    """Errors count in units of their mean: in euros or in millions of them, the weights are the same."""
    draw = random.Random(3)
    mixture, plain = fixed_share(2, loss=loss, scaled=True), fixed_share(2, loss=loss, scaled=True)
    for _ in range(300):
        target = draw.gauss(0, 1)
        given = [target + draw.gauss(0, 0.1), target + draw.gauss(0, 0.5)]
        plain.learn(given, target, 1.0)
        mixture.learn([factor * own for own in given], factor * target, 1.0)
    assert mixture.weights == pytest.approx(plain.weights, rel=1e-6)
    assert plain.weights[0] > 0.5


def test_losses_beyond_numbers_do_not_break_the_scale():
    """An expert of values may be wrong by 1e200."""
    mixture = fixed_share(2, loss=squared, scaled=True)
    mixture.learn([1e200, 1.0], 0.0, 1.0)
    mixture.learn([2.0, 1.0], 0.0, 1.0)
    assert all(math.isfinite(own) for own in mixture.weights)


def test_the_scale_is_the_mean_of_recent_losses():
    """Over experts and labels."""
    scale = Scale()
    assert scale.of([1.0, 3.0]) == [0.5, 1.5]
    scale.of([4.0, 4.0])
    assert scale.mean == 3.0


def test_a_stack_finds_how_its_experts_are_to_be_weighed():
    """Labels drawn from known weights of the log odds: it comes near them, and nearer than where it began."""
    draw = random.Random(4)
    mixture, truth, base = stack(memory=50_000), [1.4, -0.5], -1.0
    for _ in range(20_000):
        odds = [draw.gauss(0, 1.5), draw.gauss(0, 1.5)]
        chance = 1 / (1 + math.exp(-(base + truth[0] * odds[0] + truth[1] * odds[1])))
        mixture.learn([1 / (1 + math.exp(-one)) for one in odds], float(draw.random() < chance), 1.0)
    assert mixture.weights == pytest.approx(truth, abs=0.1)
    assert mixture.intercept == pytest.approx(base, abs=0.1)


def test_a_stack_follows_experts_that_change():
    """The one that was right becomes noise, and the other is right; within its memory the weights have changed places."""
    draw = random.Random(5)
    mixture = stack(memory=500)
    for label in range(6000):
        right, noise = draw.choice([0.2, 0.4, 0.6, 0.8]), draw.choice([0.2, 0.4, 0.6, 0.8])
        target = float(draw.random() < right)
        mixture.learn([right, noise] if label < 3000 else [noise, right], target, 1.0)
        if label == 2999:
            assert mixture.weights == pytest.approx([1.0, 0.0], abs=0.25)
    assert mixture.weights == pytest.approx([0.0, 1.0], abs=0.25)


def test_a_stack_begins_as_the_mean_of_the_log_odds():
    """Before any label."""
    assert stack().mix([0.9, 0.1]) == pytest.approx(0.5)
    assert stack().mix([0.8, 0.8]) == pytest.approx(0.8)
    assert stack().mix([0.8, NAN]) == pytest.approx(0.8)


@pytest.mark.parametrize("make", [fixed_share, exponential, stack])
def test_what_is_told_and_taken_up_goes_on_to_the_bit(make):
    """The state is all that it remembers."""
    draw = random.Random(6)
    rows = [([draw.random(), draw.random()], float(draw.random() < 0.5)) for _ in range(60)]
    one = make(2)
    for given, target in rows[:30]:
        one.learn(given, target, 1.0)
    other = make(2)
    other.load(one.state())
    for mixture in (one, other):
        for given, target in rows[30:]:
            mixture.learn(given, target, 1.0)
    assert other.state() == one.state()


def test_an_average_of_nothing_is_nothing():
    """NaN, not zero."""
    assert math.isnan(average([0.5, 0.5], [NAN, NAN]))
