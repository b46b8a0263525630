import json

import pytest

from poise.config import PoiseError
from poise.tracking.run import Run, create_run
from poise.tracking.store import Store
from poise.tracking.ui import find_experiment, link_to, prepare_view


def test_the_experiment_with_the_newest_run_is_opened(store: Store, run: Run) -> None:
    newest = create_run(store, "photos", "mae-tiny", f"{run.folder}-2")
    assert find_experiment(store, None).experiment_id == newest.experiment_id
    assert find_experiment(store, "scenes").experiment_id == run.experiment_id


def test_an_unknown_experiment_is_named_with_the_nearest_one(store: Store, run: Run) -> None:
    with pytest.raises(PoiseError, match=r"scene: .*did you mean 'scenes'"):
        find_experiment(store, "scene")


def test_a_store_without_runs_says_what_makes_runs(store: Store) -> None:
    with pytest.raises(PoiseError, match="the store has no run yet"):
        find_experiment(store, None)


def test_the_link_opens_the_pages_for_trainings_and_names_the_view_of_columns(
    store: Store, run: Run
) -> None:
    experiment = find_experiment(store, "scenes")
    prepare_view(store, experiment)
    link = link_to("http://127.0.0.1:5000", experiment)
    assert "workflowType=machine_learning" in link and link.endswith("viewStateShareKey=poise")
    assert "orderBy" not in link, "MLflow ignores a view if the link has an order"
    tags = store.client.get_experiment(run.experiment_id).tags
    view = json.loads(tags["mlflow.sharedViewState.poise"])
    assert "metrics.`eval/knn_top1`" in view["selectedColumns"]
    assert view["orderByAsc"] is False
