"""The labelled runs, judged from logs in the layouts of other programs."""

import pytest

from poise.diagnostics.judge import VerdictKind
from tests.conftest import REPOSITORY
from tests.corpus.causes import RUNS
from tests.corpus.logs import SUMMARY_HEAD, VARIANTS, LogScore, score_logs, summary_row, table

pytestmark = pytest.mark.slow  # every labelled run, once in each variant


@pytest.fixture(scope="module")
def scores() -> dict[str, list[LogScore]]:
    return {variant: score_logs(variant) for variant in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_healthy_run_is_condemned(scores: dict[str, list[LogScore]], variant: str) -> None:
    healthy = [each for each in scores[variant] if each.label == VerdictKind.HEALTHY]
    assert len(scores[variant]) == len(RUNS) and len(healthy) >= 45
    assert [each.run.name for each in healthy if each.verdict.condemned] == []


@pytest.mark.parametrize(
    "variant",
    ["loss, K and the teacher's entropy", "loss and K only", "loss and K only, by epochs"],
)
def test_a_loss_alone_calls_no_run_of_dino_healthy_and_names_none_wrong(
    scores: dict[str, list[LogScore]], variant: str
) -> None:
    assert not [each for each in scores[variant] if each.verdict.kind is VerdictKind.HEALTHY]
    assert [each.run.name for each in scores[variant] if each.answer == "wrong"] == []


def test_all_metrics_in_a_log_give_the_verdicts_of_the_run_itself(
    scores: dict[str, list[LogScore]],
) -> None:
    wrong = [each.run.name for each in scores["all metrics"] if each.answer != "right"]
    assert wrong == []


def test_the_documents_say_what_the_labelled_logs_say(scores: dict[str, list[LogScore]]) -> None:
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    rows = [SUMMARY_HEAD, *(summary_row(name, each) for name, each in scores.items())]
    assert "\n".join(rows) in page
    for of_variant in scores.values():
        assert "\n".join(table(of_variant)) in page
