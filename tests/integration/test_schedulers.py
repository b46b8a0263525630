"""Every way to choose and to end trials, each once on a real Ray cluster."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from poise.config.paths import home
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.models.package import load_backbone
from poise.sweeps.planning import begin_study
from poise.sweeps.result import StudyResult
from poise.sweeps.runner import run_study
from poise.tracking.store import open_store
from tests.builders import tiny_recipe
from tests.waiting import wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow]

STEPS = 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> Path:
    """A recipe of 48 steps; a checkpoint and an evaluation at every eighth."""
    path = tmp_path_factory.mktemp("schedulers")
    prepare("scenes", path / "train", PrepareOptions(64, 0, 32))
    changes = {
        "data__dataset": str(path / "train"),
        "evaluation": {"queries": str(path / "train"), "every_epochs": 2, "knn_k": 5},
        "training__batch_size": 16,
        "training__epochs": 12,
        "training__checkpoint_every_steps": 8,
    }
    recipe = tiny_recipe(**changes).model_dump(mode="json")
    (path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return path


@pytest.fixture(autouse=True)
def _gives_everything_back(ray_cluster: None) -> Iterator[None]:
    """No trial that a scheduler ended keeps CPUs, for which later trials would wait forever."""
    yield
    wait_until(lambda: not _resources_asked_for())


def _resources_asked_for() -> list[Any]:
    from ray.util import placement_group_table

    groups = placement_group_table().values()
    return [group["bundles"] for group in groups if group["state"] != "REMOVED"]


def carry_out(
    folder: Path, name: str, overrides: Sequence[str] = (), **content: Any
) -> StudyResult:
    parameters = {"objective.teacher_momentum": {"choice": [0.97, 0.98, 0.99, 0.996]}}
    space = {"name": name, "recipe": "recipe.yaml", "parameters": parameters, **content}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(space))
    return run_study(begin_study(str(folder / f"{name}.yaml"), overrides, name=name))


def test_a_trial_that_collapses_ends_early_with_its_evidence_and_another_trains_on(
    folder: Path,
) -> None:
    longer = ["training.epochs=40", "objective.teacher_momentum=0.9", "evaluation.every_epochs=20"]
    centering = {"objective.center_momentum": {"grid_search": [0.9, 1.0]}}
    result = carry_out(folder, "halves", longer, parameters=centering)
    healthy, collapsed = result.records
    assert (healthy.state, healthy.stopped_by, healthy.step) == ("finished", None, 160)
    assert (collapsed.state, collapsed.stopped_by) == ("stopped", "CollapseStopper")
    assert collapsed.verdict is not None and collapsed.verdict.collapsed
    assert collapsed.verdict.onset_step is not None
    assert collapsed.verdict.onset_step <= collapsed.step < 160
    assert "eval/knn_top1" in collapsed.metrics, "it ended without an evaluation"
    assert collapsed.checkpoint is not None and Path(collapsed.checkpoint, "backbone").is_dir()
    assert result.best in (healthy, None)
    assert collapsed.is_done, "it would be tried again"
    tags = {run.info.run_name: run.data.tags for run in open_store().search_runs("")}
    assert tags["t02-s0"]["poise.stopped_early"] == (
        f"by CollapseStopper after step {collapsed.step} of 160: {collapsed.verdict.evidence}"
    )


@pytest.mark.heavy  # Tune ends a trial as it does in a population, below
@pytest.mark.parametrize("scheduler", ["median", "hyperband"])
def test_a_scheduler_ends_trials_early_or_lets_them_train_and_says_which(
    folder: Path, scheduler: str
) -> None:
    options = {"grace_period": 8} | ({"min_samples_required": 1} if scheduler == "median" else {})
    result = carry_out(
        folder,
        scheduler,
        trials=3,
        scheduler={"name": scheduler, "options": options},
        stop_collapsed=False,
    )
    assert len(result.records) == 3
    for record in result.records:
        assert (record.state, record.stopped_by) in (("finished", None), ("stopped", scheduler))
        assert (record.step == STEPS) == (record.state == "finished")


def test_optuna_weighs_two_goals_and_the_first_decides(folder: Path) -> None:
    pytest.importorskip("optuna")
    goals = {"metric": ["eval/knn_top1", "loss/total"], "mode": ["max", "min"]}
    result = carry_out(folder, "two-goals", trials=2, searcher={"name": "optuna"}, **goals)
    assert [record.trial.name for record in result.records] == ["t01-s0", "t02-s0"]
    if result.best is not None:
        assert result.best.trial.name == result.report.findings.front[0]
    tags = open_store().search_runs("tags.`poise.key` = 'study:two-goals'")[0].data.tags
    assert tags["poise.pareto_front"] == ", ".join(result.report.findings.front)


def test_a_population_hands_weights_on_and_keeps_the_books_of_it(folder: Path) -> None:
    # The second teacher hardly moves, so it is the worse one until it goes on from the other. That
    # is at the interval at which both have told of theirs: each exchange takes 40 s.
    steps, interval = 192, 64
    result = carry_out(
        folder,
        "population",
        [f"training.epochs={steps // 4}", "evaluation.every_epochs=16"],
        parameters={"optimizer.base_lr": {"grid_search": [0.02, 1e-5]}},
        metric="teacher/update_size",
        mode="max",
        scheduler={"name": "pbt", "options": {"perturbation_interval": interval}},
        stop_collapsed=False,
    )
    assert [record.state for record in result.records] == ["finished", "finished"]
    assert [record.step for record in result.records] == [steps, steps]
    changed = [record for record in result.records if record.changes]
    assert changed, "no trial went on from another"
    for record in changed:
        (other,) = (each for each in result.records if each is not record)
        last = record.changes[-1]
        assert last.donor == other.trial.name and 0 < last.step < steps and last.step % 8 == 0
        assert record.checkpoint is not None
        run_folder = home() / "population" / record.trial.name / f"change-{len(record.changes)}"
        assert Path(record.checkpoint).parent == run_folder
        _, package = load_backbone(Path(record.checkpoint) / "backbone")
        told = [(c["step"], c["donor"], c["settings"]) for c in package["lineage"]["changes"]]
        assert told == [(c.step, c.donor, c.settings) for c in record.changes]
        assert record.run_id is not None
        run = open_store().client.get_run(record.run_id)
        assert run.data.tags["poise.changes"].startswith("from step ")
        assert run.info.status == "FINISHED"
