"""Verdicts on logs, and what is asked where a log is ambiguous."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.diagnostics.judge import VerdictKind
from poise.diagnostics.logs.facts import Facts
from poise.diagnostics.logs.judging import LogVerdict, judge_log
from poise.diagnostics.logs.meaning.sources import read_given
from poise.diagnostics.logs.missing import missing_metrics
from poise.diagnostics.logs.reading.opening import open_log

K = 65536
LN_K = math.log(K)
DINO = Facts(prototypes=K)

Judge = Callable[..., LogVerdict]


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    """Judges 60 rows, each the same but for its step."""

    def write_and_judge(
        row: Mapping[str, float], facts: Facts = DINO, step: str = "step", *given: str
    ) -> LogVerdict:
        path = tmp_path / "log.txt"
        rows = [{step: 10 * index, **row} for index in range(1, 61)]
        path.write_text("\n".join(map(json.dumps, rows)))
        sources, _ = read_given(given)
        known = Facts(**{**vars(facts), "sources": sources})
        return judge_log(open_log(str(path)), known)

    return write_and_judge


def refusal(judge: Callable[[], LogVerdict]) -> str:
    with pytest.raises(PoiseError) as error:
        judge()
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- published layouts --------------------------------------------------------------------------


def test_a_log_of_dino_at_ln_k_is_condemned(judged: Judge) -> None:
    row = {"train_loss": 11.0903, "train_lr": 5e-4, "train_wd": 0.04}
    found = judged(row, DINO, "epoch")
    assert found.verdict.kind is VerdictKind.AT_LN_K
    assert found.log.unit == "epoch"
    assert str(found.sources["loss/total"]) == "train_loss"
    assert any("In the evidence, a step is an epoch." in each for each in found.assumed)


def test_both_parts_of_dinov2_are_added(judged: Judge) -> None:
    # A run that knows nothing, with 8 local crops and half of the global crops masked.
    row = {
        "dino_local_crops_loss": LN_K * 8 / 9,
        "dino_global_crops_loss": LN_K / 9,
        "ibot_loss": LN_K / 4,
        "koleo_loss": 0.5,
        "total_loss": LN_K * 1.25 + 0.5,
    }
    found = judged(row, DINO, "iteration")
    assert found.verdict.kind is VerdictKind.AT_LN_K
    assert found.history[-1][1]["loss/over_ln_k"] == pytest.approx(1)


def test_the_global_part_of_dinov2_alone_is_two_thirds_of_the_mean(judged: Judge) -> None:
    found = judged({"dino_global_crops_loss": LN_K * 2 / 3}, DINO, "iteration")
    assert found.history[-1][1]["loss/over_ln_k"] == pytest.approx(1)


def test_both_means_of_dinov3_are_weighed(judged: Judge) -> None:
    row = {
        "dino_local_crops_loss": 8.3178,
        "dino_global_crops_loss": 8.3178,
        "dino_local_loss_weight": 1.0,
    }
    found = judged(row, Facts(prototypes=4096), "iteration")
    assert found.verdict.kind is VerdictKind.AT_LN_K
    assert found.history[-1][1]["loss/over_ln_k"] == pytest.approx(1, abs=1e-4)


def test_an_infinite_part_of_dinov2_is_divergence(judged: Judge) -> None:
    row = {"dino_local_crops_loss": 8.0, "dino_global_crops_loss": 1.0, "total_loss": math.inf}
    assert judged(row, DINO, "iteration").verdict.kind is VerdictKind.DIVERGED


def test_a_log_of_mae_alone_tells_nothing_but_normalised_targets_do(judged: Judge) -> None:
    row, mae = {"train_loss": 0.998, "train_lr": 1e-4}, Facts(objective="mae")
    assert judged(row, mae, "epoch").verdict.kind is VerdictKind.CANNOT_TELL
    normalised = Facts(objective="mae", normalized_targets=True)
    assert judged(row, normalised, "epoch").verdict.kind is VerdictKind.PREDICTS_MEAN
    learned = judged({"train_loss": 0.43}, normalised, "epoch")
    assert learned.verdict.kind is VerdictKind.HEALTHY


# ---- entropies ----------------------------------------------------------------------------------


def entropies(entropy: float, marginal: float, loss: float) -> dict[str, float]:
    return {
        "train_loss": loss * LN_K,
        "train/teacher_entropy": entropy * LN_K,
        "teacher.marginal-entropy": marginal * LN_K,
    }


@pytest.mark.parametrize(
    ("entropy", "marginal", "loss", "kind"),
    [
        (0.4, 0.8, 0.6, VerdictKind.HEALTHY),
        (0.998, 0.999, 1.0, VerdictKind.UNIFORM),
        (0.001, 0.05, 0.1, VerdictKind.SINGLE_PROTOTYPE),
        (0.05, 0.3, 0.2, VerdictKind.PARTIAL_PROTOTYPES),
        (0.4, 0.8, 1.0, VerdictKind.STUCK),
    ],
)
def test_entropies_tell_everything_about_a_teacher(
    judged: Judge, entropy: float, marginal: float, loss: float, kind: VerdictKind
) -> None:
    found = judged(entropies(entropy, marginal, loss), Facts(prototypes=K, batch_size=100_000))
    assert found.verdict.kind is kind
    assert [each.metrics[0] for each in found.missing] == ["features/rankme", "teacher/update_size"]


def test_shares_of_ln_k_and_a_divergence_are_enough(judged: Judge) -> None:
    row = {
        "teacher_entropy_over_ln_k": 0.4,
        "teacher_mutual_information_over_ln_k": 0.4,
        "teacher_kl_over_ln_k": 0.2,
    }
    found = judged(row, DINO)
    assert found.verdict.kind is VerdictKind.HEALTHY
    assert found.values["teacher/marginal_entropy"] == pytest.approx(0.8 * LN_K)
    assert found.values["loss/over_ln_k"] == pytest.approx(0.6)


def test_few_prototypes_of_an_unknown_batch_are_not_condemned_but_asked_for(judged: Judge) -> None:
    row = entropies(0.001, 0.3, 0.2)
    assert "--batch-size N" in refusal(lambda: judged(row))
    healthy = judged(row, Facts(prototypes=K, batch_size=32))
    assert healthy.verdict.kind is VerdictKind.HEALTHY
    condemned = judged(row, Facts(prototypes=K, batch_size=1024))
    assert condemned.verdict.kind is VerdictKind.PARTIAL_PROTOTYPES


def interleaved(folder: Path, losses: Mapping[int, float], teacher: Iterable[int]) -> LogVerdict:
    """Judges a log as Lightning writes it: a row has a loss or entropies, and not both.

    Losses are shares of ln K. The teacher is healthy.
    """
    rows = [(step, f"{step},{share * LN_K},,") for step, share in losses.items()]
    rows += [(step, f"{step},,{0.4 * LN_K},{0.8 * LN_K}") for step in teacher]
    head = "step,train_loss,teacher_entropy,teacher_marginal_entropy"
    path = folder / "metrics.csv"
    path.write_text("\n".join([head, *(text for _, text in sorted(rows))]))
    return judge_log(open_log(str(path)), Facts(prototypes=K, batch_size=100_000))


@pytest.mark.parametrize(
    ("loss", "kind", "onset"),
    [
        (lambda step: 0.6, VerdictKind.HEALTHY, None),
        (lambda step: 1.0, VerdictKind.STUCK, 15),
        (lambda step: (1.3, 1.0)[step // 10 % 2], VerdictKind.SWINGING, 20),
        (lambda step: 0.6 if step < 300 else math.nan, VerdictKind.DIVERGED, 300),
    ],
)
def test_a_loss_at_other_steps_than_the_entropies_is_compared_with_them(
    tmp_path: Path, loss: Callable[[int], float], kind: VerdictKind, onset: int | None
) -> None:
    losses = {step: loss(step) for step in range(10, 1000, 10)}
    verdict = interleaved(tmp_path, losses, teacher=range(5, 1000, 10)).verdict
    assert (verdict.kind, verdict.onset_step) == (kind, onset)


@pytest.mark.parametrize(
    "losses",
    [{0: 1.0}, {0: 1.0, 500: 1.0}, dict.fromkeys(range(0, 300, 10), 1.0)],
    ids=["one", "two", "only at first"],
)
def test_few_or_old_losses_of_an_untrained_student_do_not_make_a_run_stuck(
    tmp_path: Path, losses: Mapping[int, float]
) -> None:
    judged = interleaved(tmp_path, losses, teacher=range(10, 1000, 10))
    assert judged.verdict.kind is VerdictKind.HEALTHY


def test_one_loss_above_ln_k_counts_once_however_often_entropies_were_logged(
    tmp_path: Path,
) -> None:
    losses = {0: 1.0, 250: 0.8, 500: 0.8, 750: 1.1}
    judged = interleaved(tmp_path, losses, teacher=range(0, 1001, 10))
    assert judged.verdict.kind is VerdictKind.HEALTHY


def test_a_loss_that_was_undefined_once_says_nothing_about_the_entropies_after_it(
    tmp_path: Path,
) -> None:
    losses = {step: math.nan if step == 990 else 0.6 for step in range(0, 1001, 10)}
    judged = interleaved(tmp_path, losses, teacher=range(5, 1000, 10))
    assert judged.verdict.kind is VerdictKind.HEALTHY


def test_losses_by_epoch_are_not_compared_with_entropies_of_much_later_steps(
    tmp_path: Path,
) -> None:
    losses = {epoch: 1 - 0.035 * epoch for epoch in range(20)}  # at last below the entropy
    judged = interleaved(tmp_path, losses, teacher=range(0, 2001, 10))
    assert judged.verdict.kind is VerdictKind.HEALTHY


# ---- values that no run can have ----------------------------------------------------------------


def test_entropies_in_percent_bits_and_logarithms_are_refused_and_converted(judged: Judge) -> None:
    percent = {"train_loss": 6.0, "h": 40.0, "m": 80.0}
    names = ("teacher/entropy_over_ln_k=h", "teacher/marginal_entropy_over_ln_k=m")
    assert "[UNIT]" in refusal(lambda: judged(percent, DINO, "step", *names))
    converted = [f"{name}[percent]" for name in names]
    found = judged(percent, DINO, "step", *converted)
    assert found.values["teacher/entropy"] == pytest.approx(0.4 * LN_K)

    bits = judged({"loss": 6.0, "h": 6.4}, DINO, "step", "entropy=h[bits]")
    assert bits.values["teacher/entropy"] == pytest.approx(0.4 * LN_K)

    logarithm = {"train_loss": -2.5}
    assert "below 0" in refusal(lambda: judged(logarithm))
    found = judged(logarithm, DINO, "step", "loss=train_loss[log10]")
    assert found.values["loss/total"] == pytest.approx(10**-2.5)


def test_a_wrong_k_is_noticed_and_the_likely_one_named(judged: Judge) -> None:
    message = refusal(lambda: judged({"train_loss": 11.09}, Facts(prototypes=1024)))
    assert "--prototypes 65536" in message and "ln 1024" in message


def test_a_k_that_is_too_large_is_shown_as_an_assumption(judged: Judge) -> None:
    found = judged({"train_loss": 8.3178}, Facts(prototypes=65536))
    assert "K = 65536 is right, although the loss begins at 75 % of ln K" in found.assumed[-1]


def test_a_loss_that_begins_far_above_ln_k_is_refused_even_if_it_falls(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n" + "".join(f"{s},{11.1 - s / 10}\n" for s in range(60)))
    message = refusal(lambda: judge_log(open_log(str(path)), Facts(prototypes=4096)))
    assert "begins at 11.1" in message and "--prototypes 65536" in message


def test_swapped_entropies_are_noticed(judged: Judge) -> None:
    row = {"loss": 7.0, "teacher_entropy": 8.0, "teacher_marginal_entropy": 4.0}
    assert "must not be named as the other" in refusal(lambda: judged(row))


# ---- what is asked ------------------------------------------------------------------------------


def test_a_log_without_k_is_asked_for_it_with_the_likely_one(judged: Judge) -> None:
    message = refusal(lambda: judged({"train_loss": 8.3178}, Facts(objective="dino")))
    assert "near ln 4096: if that is K, give --prototypes 4096" in message


def test_an_uncertain_objective_is_refused_with_both_commands(judged: Judge) -> None:
    message = refusal(lambda: judged({"train_loss": 0.8}, Facts()))
    assert "--objective dino --prototypes K" in message and "--objective mae" in message
    assert "poise judge " in message


@pytest.mark.parametrize(
    ("row", "objective"),
    [
        ({"teacher/entropy_over_ln_k": 0.5, "loss": 6.0}, "dino"),
        ({"loss/over_mean_patch": 0.8}, "mae"),
    ],
)
def test_a_certain_objective_needs_no_option(
    judged: Judge, row: Mapping[str, float], objective: str
) -> None:
    facts = Facts(prototypes=K if objective == "dino" else None)
    assert judged(row, facts).facts.objective == objective


@pytest.mark.parametrize(
    ("facts", "complaint"),
    [
        (Facts(objective="mae", prototypes=K), "has no prototypes"),
        (Facts(objective="dino", prototypes=K, normalized_targets=True), "--norm-pix-loss"),
        (Facts(prototypes=K, planned_steps=100), "below its last step 600"),
        (Facts(prototypes=K, normalized_targets=True), "its metrics belong to both"),
    ],
)
def test_contradictions_are_refused(judged: Judge, facts: Facts, complaint: str) -> None:
    assert complaint in refusal(lambda: judged({"train_loss": 8.0}, facts))


def test_unknown_columns_are_listed_with_the_likely_loss(judged: Judge) -> None:
    row = {"alpha": 1.0, "val_objective_loss": 7.0, "objective_loss": 8.0}
    message = refusal(lambda: judged(row))
    assert "--metric loss=objective_loss" in message
    assert message.index("objective_loss, val_objective_loss") < message.index("alpha")
    assert judged(row, DINO, "step", "loss=objective_loss").values["loss/total"] == 8.0


def test_two_columns_that_may_be_the_loss_are_refused_with_both_commands(judged: Judge) -> None:
    message = refusal(lambda: judged({"loss": 8.0, "train_loss": 8.1}))
    assert "--metric loss=train_loss" in message and "--metric loss=loss" in message


def test_the_loss_of_a_step_goes_before_the_mean_of_its_epoch(judged: Judge) -> None:
    found = judged({"train_loss_step": 8.0, "train_loss_epoch": 8.1})
    assert str(found.sources["loss/total"]) == "train_loss_step"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("loss", "write NAME=COLUMN"),
        ("loss=", "write NAME=COLUMN"),
        ("=a", "write NAME=COLUMN"),
        ("los=a", "Poise knows no such metric"),
        ("rankme=a", "several metrics end so; write eval/rankme or features/rankme"),
        ("loss=nowhere", "it has no such column"),
    ],
)
def test_a_wrong_metric_is_refused(judged: Judge, text: str, complaint: str) -> None:
    assert complaint in refusal(lambda: judged({"a": 1.0, "loss": 8.0}, DINO, "step", text))


def test_what_the_log_does_not_show_is_listed_with_how_to_log_it(judged: Judge) -> None:
    found = judged({"train_loss": 8.0})
    assert found.verdict.kind is VerdictKind.CANNOT_TELL
    assert found.missing[0].metrics == ("teacher/entropy", "teacher/marginal_entropy")
    assert all(each.shows and each.how for each in found.missing)


def test_a_plan_that_is_not_over_leaves_a_run_undecided(judged: Judge) -> None:
    facts = Facts(prototypes=K, planned_steps=100_000)
    assert judged({"train_loss": LN_K}, facts).verdict.kind is VerdictKind.UNDECIDED


def test_a_metric_that_was_logged_is_not_listed_as_missing() -> None:
    first = next(missing_metrics("dino", {"loss/total", "teacher/entropy"}))
    assert first.metrics == ("teacher/marginal_entropy",)
