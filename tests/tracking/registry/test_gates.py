from pathlib import Path

import numpy as np
import pytest

from poise.config.gates import Gates, KnnGate
from poise.evaluation.answers_per_image import Answers, packed
from poise.tracking.evaluation import log_evaluation
from poise.tracking.registry.comparison import compare_versions
from poise.tracking.registry.gates import GateResult, check_gates
from poise.tracking.registry.paired_differences import difference, read_answers
from poise.tracking.registry.version import RegisteredFigure, Version, stored_tags
from poise.tracking.run import create_run
from poise.tracking.store import Store
from tests.tracking.registry.versions import knn, version

METRIC = "probe/scenes-test/knn-dino-v1/k20_top1"
ANSWERS = np.arange(1000) % 2 == 0


def gate(results: list[GateResult], name: str) -> GateResult:
    (found,) = [each for each in results if each.gate == name]
    return found


def answered(
    store: Store,
    folder: Path,
    number: int,
    right: np.ndarray,
    asked: str = "abcd",
    metric: str = METRIC,
) -> Version:
    """A version whose answers to 1000 images are among its run's artifacts."""
    run = create_run(store, "scenes", f"run-{number}", folder / str(number))
    figure = RegisteredFigure(100.0 * right.mean(), "%", 0, 100, "knn/dino-v1", "scenes-test")
    tags = stored_tags({"verdict": "healthy", "metric": metric}, {metric: figure})
    made = Version("vit", number, (), number, run.run_id, "/nowhere", tags)
    keep(
        store,
        folder / f"{number}.answers.json",
        made,
        Answers(1000, asked, {metric: packed(right)}),
    )
    return made


def keep(store: Store, file: Path, version: Version, answers: Answers) -> None:
    """Stores answers among the artifacts of a version's run."""
    answers.write(file)
    log_evaluation(version.run_id, {}, [file], "probes/knn-dino-v1", store)


def test_an_unhealthy_or_unjudged_version_fails() -> None:
    assert gate(check(version(verdict="healthy")), "verdicts").passed
    assert not gate(check(version(verdict="diverged")), "verdicts").passed
    assert gate(check(version()), "verdicts").reason.startswith("its verdict is unknown")


def check(
    made: Version, holder: Version | None = None, gates: Gates | None = None
) -> list[GateResult]:
    gates = gates or Gates(knn=None)
    return check_gates(Store("sqlite:////nowhere/mlflow.db", None), gates, made, holder)


def test_an_evaluation_that_is_missing_fails_and_a_pattern_finds_it() -> None:
    wanted = Gates(knn=None, evaluations=("eval/*_top1", "probe/*"))
    results = [
        each.passed
        for each in check(version(knn_top1=knn(60)), gates=wanted)
        if each.gate == "evaluations"
    ]
    assert results == [True, False]


@pytest.mark.parametrize(
    ("wanted", "origin", "words"),
    [
        ("probe/*/linear-*", "", "`poise evaluate linear models:/vit/1 DATASET`"),
        ("probe/video-test/attentive-cached-v1/*", "", "`poise evaluate attentive "),
        ("*/finetune*", "", "`poise evaluate finetune "),
        (
            "probe/*/segmentation-*",
            "",
            "`poise evaluate segmentation models:/vit/1 DATASET --train ",
        ),
        ("attention/*/pos_norm_max", "", "`poise evaluate attention "),
        ("probe/*/k20_top1", "hub", "`poise evaluate knn "),
        ("*/k20_top1", "", "`poise evaluate knn "),
        ("eval/linear_top1", "", "training measures it"),
        ("eval/linear_top1", "hub", "no such figure; docs/registry.md"),
        ("probe/objects-test/*", "", "no such figure; docs/registry.md"),
        ("*", "", "no such figure; docs/registry.md"),
    ],
)
def test_a_missing_figure_is_named_with_what_measures_it(
    wanted: str, origin: str, words: str
) -> None:
    made = version(imported_from=origin) if origin else version()
    gates = Gates(knn=None, evaluations=(wanted,))
    failed = gate(check(made, gates=gates), "evaluations")
    assert not failed.passed and wanted in failed.reason and words in failed.reason


@pytest.mark.parametrize(("now", "passes"), [(0.004, True), (0.006, True), (0.0061, False)])
def test_more_outliers_than_the_holder_has_fail(now: float, passes: bool) -> None:
    made, holder = (with_outliers(number, share) for number, share in ((2, now), (1, 0.001)))
    assert gate(check(made, holder), "max_outlier_growth").passed is passes


def with_outliers(number: int, share: float | None) -> Version:
    figures = {} if share is None else {"patches/outlier_share": RegisteredFigure(share)}
    return Version("vit", number, (), 0, "", "", stored_tags({"verdict": "healthy"}, figures))


def test_outliers_of_one_version_only_cannot_be_compared() -> None:
    found = gate(check(with_outliers(2, None), with_outliers(1, 0.1)), "max_outlier_growth")
    assert not found.passed
    assert "vit/2 has no patches/outlier_share" in found.reason
    neither = gate(check(with_outliers(2, None), with_outliers(1, None)), "max_outlier_growth")
    assert not neither.passed and "max_outlier_growth: null" in neither.reason


def test_of_two_versions_without_outliers_the_one_with_patch_tokens_is_named() -> None:
    holder, made = version(1, backbone="vit_tiny_patch16_224"), version(2, backbone="resnet18")
    found = gate(check(made, holder), "max_outlier_growth")
    assert not found.passed and found.reason.startswith("vit/1 has no patches/outlier_share")


def test_backbones_without_patch_tokens_have_no_outliers_to_compare() -> None:
    first, second = (version(number, backbone="resnet18") for number in (1, 2))
    found = gate(check(second, first), "max_outlier_growth")
    assert found.passed and found.reason == "resnet18: without patch tokens"


def test_a_warm_start_that_forgot_fails_and_a_cold_one_is_not_asked() -> None:
    def started(forgotten: float, learned: float) -> Version:
        return version(
            initial_weights="models:/vit/1",
            knn_forgotten=RegisteredFigure(forgotten, "%"),
            knn_learned=RegisteredFigure(learned, "%"),
            knn_queries=RegisteredFigure(1000),
        )

    assert not gate(check(started(12.0, 1.0)), "max_forgotten_points").passed
    assert gate(check(started(2.0, 5.0)), "max_forgotten_points").passed
    unmeasured = gate(check(version(initial_weights="models:/vit/1")), "max_forgotten_points")
    assert not unmeasured.passed and "evaluation.queries" in unmeasured.reason
    assert "max_forgotten_points" not in [each.gate for each in check(version())]


def test_the_same_images_decide_where_separate_intervals_cannot(
    store: Store, tmp_path: Path
) -> None:
    worse = ANSWERS.copy()
    worse[:60:2] = False  # 30 of 1000 images, all lost
    holder = answered(store, tmp_path, 1, ANSWERS)
    version = answered(store, tmp_path, 2, worse)
    change = difference(
        holder, version, METRIC, (read_answers(store, holder), read_answers(store, version))
    )
    assert change is not None and change.images == 1000
    assert change.value == pytest.approx(-3.0)
    assert -4.2 < change.low < -3 < change.high < -1.8
    failed = gate(check_gates(store, Gates(), version, holder), "knn")
    assert not failed.passed and "paired over 1000 images" in failed.reason
    assert gate(check_gates(store, Gates(), holder, version), "knn").passed
    lenient = Gates(knn=KnnGate(margin_points=5.0))
    assert gate(check_gates(store, lenient, version, holder), "knn").passed


def test_answers_with_different_banks_have_no_difference(store: Store, tmp_path: Path) -> None:
    first, second = (answered(store, tmp_path, n, ANSWERS, str(n)) for n in (1, 2))
    answers = (read_answers(store, first), read_answers(store, second))
    assert difference(first, second, METRIC, answers) is None
    failed = gate(check_gates(store, Gates(), second, first), "knn")
    assert not failed.passed and "measure both with one bank" in failed.reason


def test_one_bank_has_two_names_and_is_still_one_bank(store: Store, tmp_path: Path) -> None:
    """The training set of one model is another dataset for the other model."""
    changed = METRIC.replace("/k20", "-changed-0123abcd/k20")
    holder = answered(store, tmp_path, 1, ANSWERS)
    made = answered(store, tmp_path, 2, ANSWERS, metric=changed)
    for first, second, metric, other in (
        (holder, made, changed, METRIC),
        (made, holder, METRIC, changed),
    ):
        answers = read_answers(store, first), read_answers(store, second)
        change = difference(first, second, metric, answers)
        assert change is not None and (change.images, change.other_metric) == (1000, other)
    passed = gate(check_gates(store, Gates(), made, holder), "knn")
    assert passed.passed and "paired over 1000 images" in passed.reason
    rows = {row.metric: row.differences for row in compare_versions(store, [holder, made]).figures}
    assert rows[METRIC] == (None, None) and rows[changed][1] is not None


def test_old_answers_do_not_hide_new_ones_of_the_same_figure(store: Store, tmp_path: Path) -> None:
    """The old file is the last one in alphabetical order."""
    holder, made = (answered(store, tmp_path, number, ANSWERS) for number in (1, 2))
    old = Answers(1000, "before", {METRIC: packed(ANSWERS)})
    keep(store, tmp_path / "z.answers.json", made, old)
    change = difference(
        holder, made, METRIC, (read_answers(store, holder), read_answers(store, made))
    )
    assert change is not None and change.images == 1000


def test_a_wide_difference_that_is_not_paired_says_how_to_pair_it() -> None:
    failed = gate(check(version(2, knn_top1=knn(60)), version(1, knn_top1=knn(60)), Gates()), "knn")
    assert not failed.passed and "not paired" in failed.reason
    for number in (1, 2):
        assert f"poise evaluate knn models:/vit/{number} TEST --bank TRAIN" in failed.reason


def test_answers_of_another_checkpoint_of_the_run_are_not_used(
    store: Store, tmp_path: Path
) -> None:
    found = answered(store, tmp_path, 1, ANSWERS)
    figure = RegisteredFigure(50.1, "%", 47, 53, "knn/dino-v1", "scenes-test")
    tags = stored_tags({}, {METRIC: figure})
    other = Version("vit", 1, (), 0, found.run_id, "/nowhere", tags)
    assert [list(answers.right) for answers in read_answers(store, found)] == [[METRIC]]
    assert read_answers(store, other) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"images": 1}', b'{"images": 1, "asked": "a", "right": {"x": "?"}}',
     b'{"images": -1, "asked": "a", "right": {"x": ""}}',
     b'{"images": 1, "asked": "a", "right": 3}'],
)  # fmt: skip
def test_a_damaged_file_of_answers_counts_as_none(
    store: Store, tmp_path: Path, content: bytes
) -> None:
    run = create_run(store, "scenes", "run", tmp_path / "run")
    (tmp_path / "x.answers.json").write_bytes(content)
    log_evaluation(run.run_id, {}, [tmp_path / "x.answers.json"], "probes/knn", store)
    tags = stored_tags({}, {"x": RegisteredFigure(100.0, "%")})
    assert read_answers(store, Version("vit", 1, (), 0, run.run_id, "", tags)) == []


def test_a_small_difference_of_shares_is_not_rounded_to_zero() -> None:
    shares = [
        RegisteredFigure(each, "", each - 0.01, each + 0.01, "a", "b") for each in (0.12, 0.15)
    ]
    first, second = (version(number, share=each) for number, each in enumerate(shares, start=1))
    found = difference(first, second, "eval/share", ([], []))
    assert str(found) == "+0.03 (+0.0159 to +0.0441)"


def test_without_answers_two_independent_intervals_are_used() -> None:
    change = difference(
        version(1, knn_top1=knn(60)), version(2, knn_top1=knn(61)), "eval/knn_top1", ([], [])
    )
    assert change is not None and not change.is_paired
    assert change.value == pytest.approx(1.0)
    assert change.low == pytest.approx(1 - 8**0.5) and change.high == pytest.approx(1 + 8**0.5)


def test_other_images_other_protocols_and_missing_intervals_are_never_compared() -> None:
    known = version(1, knn_top1=knn(60))
    bare = RegisteredFigure(60, "%", protocol="knn/dino-v1", dataset="scenes-test")
    for other in (
        version(2, knn_top1=knn(60, dataset="other")),
        version(2, knn_top1=RegisteredFigure(60, "%", 58, 62, "knn/other-v1", "scenes-test")),
        version(2, knn_top1=bare),
        version(2),
    ):
        assert difference(known, other, "eval/knn_top1", ([], [])) is None
    failed = gate(check(known, version(2), Gates()), "knn")
    assert not failed.passed
    assert "poise evaluate knn models:/vit/2 TEST --bank TRAIN" in failed.reason
