"""A masked autoencoder from recipe to registered backbone, with a real store."""

from pathlib import Path

import pytest
from PIL import Image

from poise.config import Recipe
from poise.runs.outcome import Finished
from poise.runs.pretraining import Extras, pretrain
from poise.runs.registration import register_finished
from poise.tracking.ending import controlled
from poise.tracking.run import Run, create_run
from poise.tracking.store import open_store
from tests.builders import tiny_masked_recipe
from tests.data.builders import encode, smooth_image, write_dataset

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:ray.data.context"),
]


@pytest.fixture(
    scope="module",
    params=[True, pytest.param(False, marks=pytest.mark.heavy)],
    ids=["in this process", "on a worker"],
)
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ray_cluster: None
) -> tuple[Finished, Run, Recipe]:
    folder = tmp_path_factory.mktemp("masked")
    images = [encode(smooth_image(i, 20, 20)) for i in range(32)]
    write_dataset(folder / "dataset", images, labels=[i % 2 for i in range(32)])
    recipe = tiny_masked_recipe(
        data__dataset=str(folder / "dataset"),
        training__epochs=6,
        training__log_every_steps=1,
        training__checkpoint_every_steps=24,
        evaluation={"queries": str(folder / "dataset"), "every_epochs": 3},
        backbone__num_registers=2,
    )
    run = create_run(open_store(f"sqlite:///{folder}/mlflow.db"), "masked", "m", folder / "run")
    with controlled(run):
        return pretrain(recipe, run, "masked", Extras(in_process=request.param)), run, recipe


def test_it_trains_is_judged_and_registered_like_any_other(
    finished: tuple[Finished, Run, Recipe],
) -> None:
    done, run, recipe = finished
    assert "the decoder explains" in done.verdict.evidence, "it was judged by what it reconstructs"
    assert {"eval/knn_top1", "eval/linear_top1", "untrained/linear_top1"} <= done.metrics.keys()
    registered = register_finished(run.store, recipe, done, "eval/linear_top1")
    assert registered.endswith("/1")
    assert (done.package / "backbone.safetensors").is_file()


def test_its_reconstructions_are_in_the_runs_artifacts(
    finished: tuple[Finished, Run, Recipe], tmp_path: Path
) -> None:
    _, run, _ = finished
    folder = run.store.client.download_artifacts(run.run_id, "pictures", str(tmp_path))
    names = sorted(path.name for path in Path(folder, "reconstruction").iterdir())
    assert names == ["step-00000012.png", "step-00000024.png"]
    with Image.open(Path(folder, "reconstruction", names[-1])) as picture:
        assert picture.size == (8 * 96, 4 * 96)
