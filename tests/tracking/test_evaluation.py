from pathlib import Path

from poise.tracking.ending import finish
from poise.tracking.evaluation import find_maker, log_evaluation
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
