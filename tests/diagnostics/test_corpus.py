"""The judge, judged by runs whose causes are known: see ``tests/corpus`` and decision 0007."""

from statistics import median

import pytest

from poise.diagnostics.history import History
from poise.diagnostics.judge import VerdictKind
from tests.conftest import REPOSITORY
from tests.corpus.causes import RUNS
from tests.corpus.histories import read_histories
from tests.corpus.score import Score, score_all, sentences

pytestmark = pytest.mark.slow  # a verdict at every interval of every run

DESTROYED = "few-scenes-vit-masked-learning-rate-too-high"


@pytest.fixture(scope="module")
def scores() -> list[Score]:
    return score_all()


def test_every_labelled_run_is_recorded_on_four_datasets_and_two_backbones(
    scores: list[Score],
) -> None:
    assert len(scores) == len(RUNS) >= 110
    assert len({each.run.dataset for each in scores}) == 4
    assert len({each.run.backbone for each in scores}) == 2


def test_no_healthy_run_is_condemned_at_any_interval(scores: list[Score]) -> None:
    healthy = [each for each in scores if each.is_healthy]
    assert len(healthy) >= 20
    assert [each.run.name for each in healthy if each.condemned_step is not None] == []


def test_masked_runs_on_few_images_lose_dimensions_before_they_learn_and_are_spared(
    scores: list[Score],
) -> None:
    histories = read_histories()
    few = [each for each in scores if each.is_healthy and each.run.dataset == "few scenes"]
    shrunk = [each for each in few if _lowest_rank(histories[each.run.name]) < 0.25]
    assert len(shrunk) >= 5
    assert {each.condemned_step for each in shrunk} == {None}
    assert {each.final.kind for each in shrunk} == {VerdictKind.HEALTHY}


def test_features_that_a_learning_rate_destroys_are_condemned_in_the_first_fifth(
    scores: list[Score],
) -> None:
    lost = [each for each in scores if each.run.name == DESTROYED]
    assert [each.condemned.kind for each in lost if each.condemned] == [VerdictKind.DIMENSIONAL]
    assert max(each.condemned_share or 1.0 for each in lost) < 0.2


def _lowest_rank(history: History) -> float:
    """The lowest RankMe, as a share of its value in the untrained network."""
    ranks = [metrics["features/rankme"] for _, metrics in history if "features/rankme" in metrics]
    return min(ranks) / ranks[0]


def test_a_teacher_that_never_moves_is_named_by_its_weights(scores: list[Score]) -> None:
    unmoved = [each for each in scores if each.run.cause == "teacher stays"]
    assert [each.final.kind for each in unmoved] == [VerdictKind.UNMOVED_TEACHER]
    assert "has not moved since step 0" in unmoved[0].final.evidence


def test_no_teacher_of_momentum_0_is_acquitted(scores: list[Score]) -> None:
    copied = [each for each in scores if each.run.cause.startswith("teacher is student")]
    assert len(copied) == 6
    assert [each.run.name for each in copied if not each.final.condemned] == []


def test_at_least_95_of_100_lost_runs_are_named_right(scores: list[Score]) -> None:
    lost = [each for each in scores if not each.is_healthy]
    wrong = [(each.run.name, each.final.kind) for each in lost if not each.is_right]
    assert len(wrong) <= 0.05 * len(lost), wrong


def test_half_of_the_collapses_in_runs_of_390_steps_are_condemned_in_their_first_eighth(
    scores: list[Score],
) -> None:
    collapsed = [each for each in scores if each.final.collapsed and each.total_steps >= 384]
    assert len(collapsed) >= 50
    assert median(each.condemned_share or 1.0 for each in collapsed) <= 0.125


def test_of_runs_of_four_times_the_length_half_are_condemned_in_their_first_tenth(
    scores: list[Score],
) -> None:
    long = [each for each in scores if each.final.collapsed and each.run.length == 4]
    assert len(long) >= 6
    assert median(each.condemned_share or 1.0 for each in long) <= 0.1


def test_no_run_from_random_weights_is_called_forgetting(scores: list[Score]) -> None:
    verdicts = [each.final for each in scores] + [
        each.condemned for each in scores if each.condemned
    ]
    assert len(verdicts) > len(RUNS)
    assert not [each for each in verdicts if each.kind is VerdictKind.FORGETTING]


def test_a_run_that_was_condemned_ends_condemned(scores: list[Score]) -> None:
    condemned = [each for each in scores if each.condemned_step is not None]
    assert [each.run.name for each in condemned if not each.final.condemned] == []


@pytest.mark.parametrize("log_every_steps", [16, 24, 32])
def test_verdicts_hold_however_seldom_a_run_is_logged(log_every_steps: int) -> None:
    scores = score_all(log_every_steps)
    assert [e.run.name for e in scores if e.is_healthy and e.condemned_step is not None] == []
    wrong = [(each.run.name, each.final.kind) for each in scores if not each.is_right]
    assert len(wrong) <= 0.05 * sum(not each.is_healthy for each in scores), wrong


def test_the_documents_say_what_the_corpus_says(scores: list[Score]) -> None:
    decision = (REPOSITORY / "docs" / "decisions" / "0007-verdict.md").read_text(encoding="utf-8")
    text = " ".join(decision.split())
    assert [sentence for sentence in sentences(scores) if sentence not in text] == []
