from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    TEMPORARILY_UNAVAILABLE,
    UNAUTHENTICATED,
)

from poise.config.errors import PoiseError
from poise.tracking.ending import finish
from poise.tracking.evaluation import find_maker, log_evaluation
from poise.tracking.history import read_json_file
from poise.tracking.metric_values import history
from poise.tracking.run import Run
from poise.tracking.store import Store


def test_an_evaluation_joins_the_run_that_made_the_model_though_it_has_ended(
    store: Store, run: Run, tmp_path: Path
) -> None:
    finish(run, "FINISHED")
    assert find_maker({"lineage": {"run_id": run.run_id}}) == run.run_id
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"picture")
    curves = {f"attention/{name}": [(1, 0.5), (2, 0.25)] for name in map(str, range(600))}
    log_evaluation(run.run_id, curves, [picture], "attention/scenes")
    found = history(store, run.run_id, ["attention/0", "attention/599"])
    assert found == {"attention/0": [(1, 0.5), (2, 0.25)], "attention/599": [(1, 0.5), (2, 0.25)]}
    (artifact,) = store.client.list_artifacts(run.run_id, "attention/scenes")
    assert artifact.path == "attention/scenes/curves.png"
    assert store.client.get_run(run.run_id).info.status == "FINISHED"


def test_a_model_made_elsewhere_has_no_run_here(store: Store) -> None:
    assert find_maker({"lineage": {"run_id": "0" * 32}}, store) is None
    assert find_maker({}, store) is None
    assert find_maker({"lineage": {"run_id": "not an id of this store"}}, store) is None


def test_a_model_whose_run_was_deleted_has_no_run(store: Store, run: Run) -> None:
    store.client.delete_run(run.run_id)
    assert find_maker({"lineage": {"run_id": run.run_id}}, store) is None


@pytest.mark.parametrize(
    "refusal",
    [
        MlflowException("API request failed: Connection refused"),
        MlflowException("try later", error_code=TEMPORARILY_UNAVAILABLE),
        MlflowException("who are you?", error_code=UNAUTHENTICATED),
        MlflowException("QueuePool limit reached", error_code=INVALID_PARAMETER_VALUE),
    ],
)
def test_a_store_that_does_not_answer_is_an_error_and_no_model_without_a_run(
    refusal: MlflowException, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `poise evaluate` took it for a model made elsewhere, and logged nothing without a word.
    def refuse(run_id: str) -> None:
        raise refusal

    monkeypatch.setattr(store.client, "get_run", refuse)
    with pytest.raises(PoiseError, match="run 123, which made the model, cannot be looked up: "):
        find_maker({"lineage": {"run_id": "123"}}, store)


def test_a_store_that_fails_is_not_taken_for_one_without_files(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_json_file(run, "environment.json") == {}

    def fail(*_: object) -> None:
        raise MlflowException("500 Server Error")

    monkeypatch.setattr(store.client, "download_artifacts", fail)
    with pytest.raises(PoiseError, match=r"environment.json: cannot be fetched: 500 Server Error"):
        read_json_file(run, "environment.json")
