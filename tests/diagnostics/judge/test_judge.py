import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.config.objectives import Signals
from poise.diagnostics.judge import Limits, Verdict, VerdictKind, judge

K = 4096
SIGNALS = Signals(num_prototypes=K)
LN_K = math.log(K)
Curve = Callable[[int], float]


def history(
    entropy: Curve, information: Curve, kl: Curve, steps: int = 1000, every: int = 20
) -> list[tuple[int, dict[str, float]]]:
    """Shares of ln K at each logged step, as the metrics of a run."""
    return [
        (
            step,
            {
                "loss/total": (entropy(step) + kl(step)) * LN_K,
                "teacher/entropy": entropy(step) * LN_K,
                "teacher/kl": kl(step) * LN_K,
                "teacher/marginal_entropy": (entropy(step) + information(step)) * LN_K,
                "teacher/mutual_information": information(step) * LN_K,
                "teacher/ema_gap": 0.1,
            },
        )
        for step in range(every, steps + 1, every)
    ]


def constant(value: float) -> Curve:
    return lambda step: value


def learning(start: int, end: float) -> Curve:
    return lambda step: end * min(1.0, max(0, step - start) / 300)


def until(step: int, before: float, after: float) -> Curve:
    return lambda now: before if now < step else after


def healthy() -> list[tuple[int, dict[str, float]]]:
    return history(
        entropy=lambda step: 0.998 - learning(200, 0.6)(step),
        information=lambda step: 1e-5 + learning(200, 0.4)(step),
        kl=lambda step: 0.002 + learning(200, 0.2)(step),
    )


def uniform() -> list[tuple[int, dict[str, float]]]:
    return history(constant(0.9999), constant(1e-6), constant(1e-5))


def test_a_run_that_leaves_ln_k_late_and_learns_is_healthy() -> None:
    verdict = judge(healthy(), SIGNALS)
    assert verdict.kind is VerdictKind.HEALTHY and not verdict.collapsed
    assert verdict.onset_step is None and verdict.advice == ""
    assert "step 1000" in verdict.evidence


def test_the_bump_in_the_loss_when_the_last_layer_is_released_is_not_collapse() -> None:
    losses = [7.70, 9.56, 8.00, 6.88, 6.25, 5.57, 5.03, 4.86, 4.64]  # of a run seen healthy
    run = history(
        entropy=lambda step: losses[min(step // 112, 8)] / 11.09 * 0.8,
        information=constant(0.2),
        kl=lambda step: losses[min(step // 112, 8)] / 11.09 * 0.2,
    )
    assert judge(run, SIGNALS).kind is VerdictKind.HEALTHY


def test_a_run_that_stays_at_ln_k_for_its_whole_plan_is_uniform_from_its_first_step() -> None:
    verdict = judge(uniform(), SIGNALS, planned_steps=1000)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.UNIFORM, 20)
    assert "teacher_temp" in verdict.advice


def test_a_loss_that_never_leaves_ln_k_is_told_from_one_that_comes_back_to_it() -> None:
    came_back = [*healthy(), *((step + 1000, metrics) for step, metrics in uniform())]
    assert "never learned to distinguish images" in judge(uniform(), SIGNALS).evidence
    verdict = judge(came_back, SIGNALS)
    assert verdict.kind is VerdictKind.UNIFORM and "never" not in verdict.evidence


def test_the_same_history_early_in_a_long_plan_is_undecided() -> None:
    assert judge(uniform(), SIGNALS, planned_steps=100_000).kind is VerdictKind.UNDECIDED


def test_every_prefix_of_a_healthy_run_is_spared() -> None:
    run = healthy()
    verdicts = [judge(run[:end], SIGNALS, planned_steps=1000) for end in range(1, len(run) + 1)]
    assert not any(verdict.collapsed for verdict in verdicts)
    assert verdicts[0].kind is VerdictKind.UNDECIDED


def test_a_run_that_learned_and_fell_back_to_ln_k_is_condemned_before_its_plan_is_over() -> None:
    run = history(
        until(600, 0.6, 0.9999),
        lambda step: learning(100, 0.3)(step) + 1e-4 if step < 600 else 1e-6,
        until(600, 0.1, 1e-5),
    )
    verdict = judge(run, SIGNALS, planned_steps=10_000)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.UNIFORM, 600)


def test_losing_what_random_features_carry_is_no_collapse_early_in_a_plan() -> None:
    run = history(constant(0.998), lambda step: 0.16 * 0.5 ** (step / 20), constant(0.001))
    assert judge(run, SIGNALS, planned_steps=20_000).kind is VerdictKind.UNDECIDED
    assert judge(run, SIGNALS, planned_steps=10_000).kind is VerdictKind.UNIFORM


@pytest.mark.parametrize(
    ("entropy", "information"),
    [(0.008, until(500, 0.05, 0.0124)), (0.02, until(500, 0.25, 0.01))],
    ids=["images go on escaping to a second prototype", "a partial collapse came before"],
)
def test_a_single_prototype_is_collapse_from_its_first_step_on(
    entropy: float, information: Curve
) -> None:
    run = history(constant(entropy), information, constant(0.02))
    verdict = judge(run, SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.SINGLE_PROTOTYPE, 20)


def test_without_centering_everything_goes_to_one_prototype() -> None:
    run = history(until(340, 0.85, 0.0004), constant(1e-6), until(340, 0.05, 0.02))
    verdict = judge(run, SIGNALS, planned_steps=1000)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.SINGLE_PROTOTYPE, 340)
    assert verdict.evidence == (
        "Since step 340, the teacher has used few prototypes. The teacher's entropy has stayed at "
        "0.0 % of ln K. At step 1000, the effective number of prototypes in use is about 1 of "
        "4096. The limit for this verdict is 5.28."  # 4096^0.2
    )
    assert "center_momentum" in verdict.advice


def test_one_prototype_for_all_is_collapse_though_bounded_logits_keep_kl_above_zero() -> None:
    run = history(constant(0.0004), constant(1e-6), constant(0.125))
    assert judge(run, SIGNALS).kind is VerdictKind.SINGLE_PROTOTYPE


@pytest.mark.parametrize(
    ("entropy", "kind"),
    [(0.3, VerdictKind.SINGLE_PROTOTYPE), (0.7, VerdictKind.UNIFORM)],
)
def test_a_shared_assignment_in_between_is_named_after_the_nearer_end(
    entropy: float, kind: VerdictKind
) -> None:
    run = history(constant(entropy), constant(1e-5), constant(0.001))
    verdict = judge(run, SIGNALS)
    assert verdict.kind is kind
    assert f"has stayed at {100 * entropy:.1f} % of ln K" in verdict.evidence
    assert "nearly the same output. This output has been nearer to " in verdict.evidence


def test_a_collapse_that_recovers_is_healthy() -> None:
    def passing(normal: float, collapsed: float) -> Curve:
        return lambda step: collapsed if 300 <= step < 600 else normal

    run = history(passing(0.5, 0.0001), passing(0.3, 1e-6), passing(0.2, 0.0))
    assert judge(run, SIGNALS).kind is VerdictKind.HEALTHY
    assert judge(run[:25], SIGNALS).kind is VerdictKind.SINGLE_PROTOTYPE


def test_a_dip_at_the_very_end_is_undecided() -> None:
    run = history(until(980, 0.5, 0.0001), until(980, 0.3, 1e-6), until(980, 0.2, 0.0))
    assert judge(run, SIGNALS).kind is VerdictKind.UNDECIDED


def test_a_collapse_that_swings_between_its_kinds_is_seen_as_one() -> None:
    # As seen with a teacher that is a copy of the student: the centre chases the logits.
    run = history(
        lambda step: (0.9, 0.03, 0.7, 0.16)[step // 20 % 4], until(400, 0.5, 1e-5), constant(0.2)
    )
    verdict = judge(run, SIGNALS)
    assert verdict.collapsed and verdict.onset_step == 400
    assert (
        "Since step 400, the teacher has been collapsed, but the kind of collapse has changed. By "
        "the median of its entropy (70.0 % of ln K), it is nearer to uniform than to a single "
        "prototype." in verdict.evidence
    )


def test_information_that_is_still_rising_is_undecided() -> None:
    run = history(constant(0.98), lambda step: 0.008 * step / 1000, constant(0.01))
    assert judge(run, SIGNALS).kind is VerdictKind.UNDECIDED


def test_a_teacher_that_is_a_copy_of_the_student_is_named_in_the_advice() -> None:
    run = [(step, metrics | {"teacher/ema_gap": 0.0}) for step, metrics in uniform()]
    assert "teacher_momentum" in judge(run, SIGNALS).advice


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_divergence_at_its_step(value: float) -> None:
    verdict = judge([*healthy()[:3], (80, {"loss/total": value})], SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.DIVERGED, 80)
    assert "loss/total" in verdict.evidence


def test_a_metric_that_is_undefined_for_one_batch_is_no_divergence() -> None:
    hole = {"features/lidar": math.nan}
    run = [
        (step, metrics | hole) if step == 500 else (step, metrics) for step, metrics in healthy()
    ]
    assert judge(run[:25], SIGNALS).kind is VerdictKind.HEALTHY
    lasting = [(step, metrics | hole) for step, metrics in healthy()[:25]]
    verdict = judge(lasting, SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.DIVERGED, 20)


def test_a_loss_that_explodes_and_stays_finite_has_diverged() -> None:
    run = history(constant(0.6), constant(0.3), lambda step: 0.1 * 1.02 ** max(step - 300, 0))
    with_ratio = [
        (step, metrics | {"loss/over_ln_k": metrics["loss/total"] / LN_K}) for step, metrics in run
    ]
    verdict = judge(with_ratio, SIGNALS)
    assert verdict.kind is VerdictKind.DIVERGED and 440 <= (verdict.onset_step or 0) <= 460
    assert (
        "loss / ln K has been above 2. A model that has learned nothing has 1." in verdict.evidence
    )
    assert "base_lr" in verdict.advice
    back = [*with_ratio, (1020, with_ratio[0][1])]
    assert judge(back, SIGNALS).kind is not VerdictKind.DIVERGED
    hole = [(20, with_ratio[0][1] | {"loss/over_ln_k": math.nan}), *with_ratio[1:15]]
    assert judge(hole, SIGNALS).kind is VerdictKind.HEALTHY


def test_too_little_to_go_on_is_undecided() -> None:
    assert judge([], SIGNALS).kind is VerdictKind.UNDECIDED
    assert judge([(1, {"loss/total": LN_K})] * 99, SIGNALS).kind is VerdictKind.UNDECIDED
    short = judge(healthy()[-2:], SIGNALS)
    assert short.kind is VerdictKind.UNDECIDED
    assert (
        "meet the rule for “healthy” at the last 2" in short.evidence
        and "needs 3 logged steps that agree" in short.evidence
    )
    assert "training.log_every_steps" in short.advice


def test_limits_can_be_changed() -> None:
    strict = replace(Limits(), no_information_share=0.5)
    assert judge(healthy(), SIGNALS, limits=strict).kind is not VerdictKind.HEALTHY


def test_a_batch_on_a_few_prototypes_that_tell_images_apart_is_a_partial_collapse() -> None:
    run = history(constant(0.15), constant(0.15), constant(0.05))
    verdict = judge(run, SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.PARTIAL_PROTOTYPES, 20)
    assert "the effective number of prototypes in use is about 12.1 of 4096." in verdict.evidence


def test_a_teacher_that_begins_too_sharp_and_spreads_as_its_temperature_rises_is_spared() -> None:
    # As seen while the temperature warmed up from 0.02: the batch on 3 of 1024 prototypes, then 6.
    marginal = (0.48, 0.28, 0.17, 0.16, 0.22, 0.21, 0.24, 0.26, 0.8, 0.83)

    def spreads(step: int) -> float:
        return marginal[min(step // 8, 10) - 1] - 0.1

    run = history(spreads, constant(0.1), constant(0.1), steps=384, every=8)
    verdicts = [judge(run[:end], SIGNALS, planned_steps=384) for end in range(1, len(run) + 1)]
    assert [each.kind for each in verdicts if each.condemned] == []
    assert "more than before" in verdicts[7].evidence
    stays = history(lambda step: min(spreads(step), 0.16), constant(0.1), constant(0.1), 384, 8)
    assert judge(stays, SIGNALS, planned_steps=384).kind is VerdictKind.PARTIAL_PROTOTYPES


def test_information_that_fades_from_the_start_needs_no_half_of_the_plan() -> None:
    run = history(constant(0.997), lambda step: 0.009 * 0.5 ** (step / 50), constant(0.002))
    early = [step for step, _ in run if judge(run[: step // 20], SIGNALS, 2000).condemned]
    assert early[0] == 160  # 8 % of the plan


def test_information_that_rises_again_does_not_fade() -> None:
    # A take-off within the warm-up of a long run: down to 0.14 % of ln K, and up again.
    run = history(
        constant(0.997),
        lambda step: 0.0098 * 0.6 ** (step / 100) if step < 400 else 0.0013 * 1.01 ** (step - 400),
        constant(0.002),
        steps=500,
    )
    lost = [step for step, _ in run if judge(run[: step // 20], SIGNALS, 5000).condemned]
    assert lost == [400, 420]  # until it has risen by a quarter
    assert not judge(run, SIGNALS, 5000).condemned


def test_information_that_is_lost_at_once_has_faded_too() -> None:
    run = history(until(200, 0.6, 0.999), until(200, 0.3, 1e-6), constant(0.002))
    early = [step for step, _ in run if judge(run[: step // 20], SIGNALS, 10_000).condemned]
    assert early[0] == 800  # 8 % of the plan, not half of it


def test_a_batch_cannot_share_more_prototypes_than_it_has_images() -> None:
    # Every image is told apart from every other, by one prototype, whatever the crop.
    large = Signals(num_prototypes=65_536)
    for images in (8, 16, 64, 256):
        all_apart = math.log(images) / math.log(65_536)
        run = history(constant(0.0), constant(all_apart), constant(0.05))
        assert judge(run, replace(large, batch_images=images)).kind is VerdictKind.HEALTHY, images
    two = math.log(2) / math.log(65_536)
    half = history(constant(0.0), constant(two), constant(0.05))
    assert judge(half, replace(large, batch_images=64)).kind is VerdictKind.SINGLE_PROTOTYPE


def test_single_contrary_steps_do_not_hide_a_collapse_in_a_long_run() -> None:
    run = history(
        constant(0.9999),
        lambda step: 0.3 if step < 1000 else 0.02 if step % 1000 == 500 else 1e-6,
        constant(0.001),
        steps=10_000,
    )
    verdict = judge(run, SIGNALS)
    assert verdict.kind is VerdictKind.UNIFORM and 1000 <= (verdict.onset_step or 0) <= 1020


def test_few_prototypes_win_while_the_centre_settles_and_that_is_no_collapse() -> None:
    # As seen in a healthy run with K = 32: until the centre has found the teacher's mean.
    run = history(until(16, 0.1, 0.6), until(16, 0.05, 0.3), constant(0.1), steps=40, every=2)
    kinds = [judge(run[:length], SIGNALS, planned_steps=160).kind for length in range(1, 21)]
    assert kinds[-1] is VerdictKind.HEALTHY
    assert set(kinds) == {VerdictKind.UNDECIDED, VerdictKind.HEALTHY}
    stays = history(constant(0.1), constant(0.05), constant(0.1), steps=24, every=2)
    assert judge(stays, SIGNALS, planned_steps=24).kind is VerdictKind.SINGLE_PROTOTYPE


def test_of_a_run_of_sixteen_steps_nothing_can_be_told() -> None:
    well = history(constant(0.6), constant(0.3), constant(0.1), steps=16, every=2)
    stuck = history(constant(0.8), constant(0.15), constant(0.1), steps=16, every=2)
    for run in (well, stuck):
        verdict = judge(run, SIGNALS, planned_steps=16)
        assert verdict.kind is VerdictKind.UNDECIDED
    told = "the metrics meet the rule for “healthy”. The run has time until step 24 to settle."
    assert told in judge(well, SIGNALS).evidence


def test_a_slow_centre_delays_no_verdict_that_has_nothing_to_do_with_centering() -> None:
    slow = replace(SIGNALS, center_memory_steps=1000)
    assert judge(uniform()[:30], slow, planned_steps=1000).kind is VerdictKind.UNIFORM


def test_a_slow_centre_is_given_the_time_that_it_needs() -> None:
    # As seen with a centre of momentum 0.99: on one prototype for 150 steps, then well.
    run = history(until(150, 0.02, 0.9), until(150, 0.06, 0.07), constant(0.05), steps=384, every=8)
    slow = replace(SIGNALS, center_memory_steps=100)
    verdicts = [judge(run[:length], slow, planned_steps=384) for length in range(1, len(run) + 1)]
    assert not any(verdict.condemned for verdict in verdicts)
    assert "until step 300 to settle" in verdicts[10].evidence
    assert judge(run[:10], SIGNALS, planned_steps=384).condemned


def test_a_last_log_that_looks_well_does_not_acquit_a_long_collapse() -> None:
    run = history(constant(0.98), until(1000, 0.001, 0.012), constant(0.001))
    verdicts = [judge(run[:length], SIGNALS) for length in (len(run) - 1, len(run))]
    assert [verdict.kind for verdict in verdicts] == [VerdictKind.UNIFORM] * 2
    recovers = history(constant(0.9), until(960, 0.001, 0.05), constant(0.01))
    assert judge(recovers, SIGNALS).kind is not VerdictKind.UNIFORM


def test_going_from_one_way_of_being_lost_to_another_acquits_of_neither() -> None:
    # As seen with a teacher of momentum 0: uniform for long, then on a few prototypes.
    run = history(
        lambda step: 0.6 if step < 400 else 0.98 if step < 900 else 0.15,
        lambda step: 0.3 if step < 400 else 0.001 if step < 900 else 0.15,
        constant(0.001),
    )
    verdict = judge(run, SIGNALS, planned_steps=2000)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.UNIFORM, 400)
    never_uniform = [*run[:19], *((step - 500, metrics) for step, metrics in run[44:])]
    assert judge(never_uniform, SIGNALS, planned_steps=2000).kind is VerdictKind.UNDECIDED


@pytest.mark.parametrize("end", [0.25, 0.35, 0.7])
@pytest.mark.parametrize("odd", [1, 2])
def test_nor_does_a_last_log_that_looks_less_collapsed(end: float, odd: int) -> None:
    run = history(until(1000 - 20 * (odd - 1), 0.04, end - 0.02), constant(0.02), constant(0.05))
    verdict = judge(run, SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.SINGLE_PROTOTYPE, 20)


def test_features_that_lost_their_dimensions_are_collapse_though_prototypes_differ() -> None:
    run = [
        (step, metrics | {"features/rankme": 60.0 if step < 400 else 6.0})
        for step, metrics in history(constant(0.8), constant(0.15), constant(0.05))
    ]
    verdict = judge(run, SIGNALS)
    assert (verdict.kind, verdict.onset_step) == (VerdictKind.DIMENSIONAL, 400)
    assert "at most 6. This is 10 % of its value at the beginning (60)." in verdict.evidence
    assert judge(run[:20], SIGNALS).kind is VerdictKind.HEALTHY


def test_lost_dimensions_count_while_the_teacher_is_undecided_and_a_copy_is_named() -> None:
    swings = history(until(980, 0.8, 0.1), until(980, 0.15, 0.05), constant(0.05))
    run = [
        (step, metrics | {"features/rankme": 60.0 if step < 400 else 6.0, "teacher/ema_gap": 0.0})
        for step, metrics in swings
    ]
    verdict = judge(run, SIGNALS)
    assert verdict.kind is VerdictKind.DIMENSIONAL and "teacher_momentum" in verdict.advice


@settings(deadline=None)  # of a shared machine
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 2)), min_size=1, max_size=40)
)
def test_an_onset_is_a_logged_step_and_belongs_to_bad_verdicts_alone(
    rows: list[tuple[float, float, float]],
) -> None:
    run = history(
        lambda step: rows[step - 1][0],
        lambda step: rows[step - 1][1],
        lambda step: rows[step - 1][2],
        steps=len(rows),
        every=1,
    )
    verdict: Verdict = judge(run, SIGNALS)
    assert (verdict.onset_step is not None) == verdict.condemned
    assert verdict.evidence and "\n" not in verdict.evidence
