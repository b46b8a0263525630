"""Datasets, checkpoints and models on a real S3 server, without a copy on this machine."""

import hashlib
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
import torch
import yaml

from poise.cli.main import run
from poise.config import PoiseError, Recipe, storage
from poise.config.locations import Location
from poise.data.dataset import ImageDataset
from poise.data.manifest import Manifest
from poise.data.preparation import ingest
from poise.data.preparation.ingest import prepare
from poise.data.preparation.shards import write_shard
from poise.data.sources.options import PrepareOptions
from poise.data.stream.reader import Reader
from poise.models.package import load_backbone
from poise.models.published.sources import Options, import_backbone
from poise.tracking.registry.fetch import locate
from poise.training.checkpoint import (
    checkpoints,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from poise.training.in_process import CheckpointKeeper, fit_in_process
from poise.training.loop import new_state
from poise.training.spec import RunSpec
from tests.builders import tiny_recipe
from tests.cli.evaluate.test_knn import save_model
from tests.data.builders import encode, smooth_image, write_dataset
from tests.data.images import write_class_folders
from tests.integration.processes import starting
from tests.s3_server import KEY_ID, SECRET, S3Server, environment, s3_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as found:
        yield found


@pytest.fixture
def bucket(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Location:
    """An empty bucket of the test's own."""
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    place = Location.of(server.make_bucket(name))
    server.forget()
    return place


def upload(folder: Path, place: Location) -> str:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    place.upload(folder, last=max(files).as_posix())
    return str(place)


def shards_of(place: Location) -> dict[str, str]:
    names = [name for name in place.files() if name.startswith("shard-")]
    return {name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in names}


def test_a_dataset_is_prepared_in_a_bucket_with_the_same_shards_as_in_a_folder(
    bucket: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "SAMPLES_PER_SHARD", 4)
    photos = write_class_folders(tmp_path / "photos", per_class=7)
    here = prepare(str(photos), tmp_path / "dataset", parallel=False)
    there = prepare(str(photos), str(bucket / "dataset"), parallel=False)
    assert there == here
    assert shards_of(bucket / "dataset") == shards_of(Location.of(tmp_path / "dataset"))
    assert sorted((bucket / "dataset").names()) == sorted(
        path.name for path in (tmp_path / "dataset").iterdir()
    )
    read = ImageDataset.open(str(bucket / "dataset")).read(np.arange(14)[::-1])
    assert read.images[0] == (photos / "bee" / "6.jpg").read_bytes()
    again = prepare(str(photos), str(bucket / "dataset"), parallel=False)
    assert again == there


def test_an_interrupted_preparation_in_a_bucket_continues_where_it_stopped(
    bucket: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "SAMPLES_PER_SHARD", 4)
    photos = write_class_folders(tmp_path / "photos", per_class=7)
    written: list[str] = []

    def counted(part: object, place: Location, kinds: object) -> object:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(place.name)
        return write_shard(part, place, kinds)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest, "write_shard", counted)
    with pytest.raises(KeyboardInterrupt):
        prepare(str(photos), str(bucket / "dataset"), parallel=False)
    with pytest.raises(PoiseError, match=r"not a prepared dataset \(no manifest.json\)"):
        Manifest.read(str(bucket / "dataset"))
    monkeypatch.setattr(ingest, "write_shard", write_shard)
    done: list[int] = []
    prepare(
        str(photos),
        str(bucket / "dataset"),
        parallel=False,
        on_progress=lambda p: done.append(p.done),
    )
    assert done[0] == 8, "two shards of four images were there"
    with pytest.raises(PoiseError, match="holds a different dataset"):
        prepare("scenes", str(bucket / "dataset"), PrepareOptions(num_images=4), parallel=False)


def test_a_source_in_a_bucket_gives_the_dataset_of_the_same_folder(
    bucket: Location, tmp_path: Path
) -> None:
    photos = write_class_folders(tmp_path / "photos", per_class=5)
    (photos / "ant" / "100% sure?#1.jpg").write_bytes((photos / "ant" / "0.jpg").read_bytes())
    (photos / "ant" / "broken.jpg").write_bytes(b"no image")
    here = prepare(str(photos), tmp_path / "here", parallel=False)
    source = upload(photos, bucket / "photos")
    there = prepare(source, tmp_path / "there", parallel=False)
    assert (there.fingerprint, there.classes) == (here.fingerprint, ("ant", "bee"))
    assert there.num_quarantined == 1
    with pytest.raises(PoiseError, match="lies in the source"):
        prepare(source, f"{source}/dataset")
    with pytest.raises(PoiseError, match="--masks: applies to a folder of this machine"):
        prepare(source, tmp_path / "more", PrepareOptions(masks=str(photos)))


def test_parquet_files_in_a_bucket_are_a_source_by_folder_file_and_pattern(
    bucket: Location, tmp_path: Path
) -> None:
    images = [encode(smooth_image(index, 20, 20)) for index in range(12)]
    for split, rows in (("train", images[:8]), ("test", images[8:])):
        for number in (0, 1):
            table = pa.table({"image": rows[number::2], "label": [0] * len(rows[number::2])})
            (tmp_path / "files" / split).mkdir(parents=True, exist_ok=True)
            pq.write_table(table, tmp_path / "files" / split / f"{split}-{number}.parquet")
    place = Location.of(upload(tmp_path / "files", bucket / "files"))
    with pytest.raises(PoiseError, match="several splits") as refused:
        prepare(str(place), tmp_path / "both", parallel=False)
    assert f"poise data prepare {place}/train " in str(refused.value)
    counts = {"train": 8, "train/train-0.parquet": 4, "**/test-*.parquet": 4, "*/tr*1.parquet": 4}
    for number, (name, count) in enumerate(counts.items()):
        manifest = prepare(f"{place}/{name}", tmp_path / f"d{number}", parallel=False)
        assert manifest.num_samples == count
    with pytest.raises(PoiseError, match="matches no Parquet file"):
        prepare(f"{place}/**/val-*.parquet", tmp_path / "none")


def recipe_on(dataset: str, **changes: object) -> Recipe:
    return tiny_recipe(data__dataset=dataset, training__epochs=1, **changes)


def test_an_epoch_reads_each_row_group_once_with_one_request(
    bucket: Location, server: S3Server, tmp_path: Path
) -> None:
    images = [encode(smooth_image(index, 64, 48)) for index in range(64)]
    write_dataset(tmp_path / "dataset", images, rows_per_group=8, rows_per_shard=32)
    place = bucket / "dataset"
    upload(tmp_path / "dataset", place)
    stored = sum(file.size for name, file in place.files().items() if name.startswith("shard-"))
    server.forget()
    reader = Reader(recipe_on(str(place)), rank=0, world_size=1)
    seen = [reader.read(step)[1].sample_ids for step in range(reader.plan.total_steps)]
    assert sorted(np.concatenate(seen).tolist()) == list(range(64))
    gets = [path for method, path, _ in server.requests if method == "GET" and "shard-" in path]
    assert len(gets) == 8 + 2, "8 row groups, and the footers of 2 shards"
    assert server.bytes_read(".parquet") <= stored + 2 * 65_536, "each byte, and 64 KiB a footer"
    assert len(server.requests) <= 20


def test_the_newest_checkpoints_are_kept_in_a_bucket_and_continued_from(
    bucket: Location, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "dataset", [encode(smooth_image(0, 20, 20))] * 16)
    recipe = recipe_on(str(tmp_path / "dataset"))
    keep = CheckpointKeeper(bucket / "run", most=2)
    for step in (1, 2, 3):
        state = new_state(recipe, torch.device("cpu"))
        state.step = step
        save_checkpoint(tmp_path / f"{step}", state, recipe, [(step, {"loss/total": 1.0})])
        keep({}, tmp_path / f"{step}")
    names = sorted(place.name for place in checkpoints(bucket / "run"))
    assert len(names) == 2
    newest = newest_checkpoint(bucket / "run")
    assert newest is not None
    assert newest.name == names[-1]
    resumed = new_state(recipe, torch.device("cpu"))
    assert load_checkpoint(newest, resumed, recipe) == [(3, {"loss/total": 1.0})]
    assert resumed.step == 3
    for one, other in zip(
        resumed.objective.state_dict().values(), state.objective.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
    (newest / "run.json").delete()  # an upload that was cut off
    assert [place.name for place in checkpoints(bucket / "run")] == names[:1]


def test_a_run_without_ray_trains_stops_and_continues_on_a_bucket(
    bucket: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An earlier test may have left a cluster, whose processes do not know the bucket's address.
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    images = [encode(smooth_image(index, 24, 20)) for index in range(32)]
    write_dataset(tmp_path / "dataset", images)
    dataset = upload(tmp_path / "dataset", bucket / "dataset")
    recipe = tiny_recipe(data__dataset=dataset, training__stop_after_steps=4)
    first = fit_in_process(RunSpec(recipe, "run", bucket / "runs"))
    assert [step for step, _ in first.history] == [1, 2, 4]
    assert str(first.checkpoint).startswith(f"{bucket}/runs/run/checkpoint_")
    whole = tiny_recipe(data__dataset=dataset)
    there = fit_in_process(RunSpec(whole, "run", bucket / "runs"))
    here = fit_in_process(RunSpec(whole, "run", Location.of(tmp_path / "runs")))
    assert [step for step, _ in there.history] == [1, 2, 4, 6, 8]
    losses = [[metrics["loss/total"] for _, metrics in each.history] for each in (there, here)]
    assert losses[0] == losses[1], "the place of checkpoints and images changes no number"


def test_a_model_in_a_bucket_is_fetched_once(
    bucket: Location, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "home"))
    here = save_model(tmp_path / "model")
    there = Location.of(upload(tmp_path / "model", bucket / "model"))
    for _ in range(2):
        backbone, config = load_backbone(there)
    weights = there / "backbone.safetensors"
    assert server.bytes_read(weights.name) == weights.status().size
    same, expected = load_backbone(here)
    images = torch.zeros(1, 3, 16, 16)
    assert torch.equal(backbone(images), same(images))
    assert config == expected
    assert locate(str(there))[0] == str(there)
    _, source = import_backbone(str(there), Options())
    assert source.source == "model"
    with pytest.raises(PoiseError, match=r"s3://.*/nothing: no such file"):
        load_backbone(f"{bucket}/nothing")
    (bucket / "photos" / "a.jpg").write_text("")
    with pytest.raises(PoiseError, match=r"/photos: has no config.json"):
        load_backbone(f"{bucket}/photos")


def without(text: str, *secrets: str) -> None:
    for secret in secrets:
        assert secret not in text


def test_what_is_wrong_with_the_storage_is_one_line_with_the_fix(
    bucket: Location, server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(storage, "REQUEST_SECONDS", 1.0)
    missing = Location.of("s3://nowhere-at-all/photos")
    cases = {
        "there is no bucket 'nowhere-at-all'": missing,
        "not a prepared dataset": bucket / "empty",
    }
    for told, place in cases.items():
        with pytest.raises(PoiseError, match=told) as refused:
            ImageDataset.open(str(place))
        assert str(place) in str(refused.value)
    with pytest.raises(PoiseError, match="there is no bucket"):
        prepare("scenes", str(missing), PrepareOptions(num_images=2), parallel=False)
    with pytest.raises(PoiseError, match="there is no bucket"):
        prepare(str(missing), tmp_path / "dataset")
    with pytest.raises(PoiseError, match="no such file"):
        prepare(str(bucket / "nothing"), tmp_path / "dataset")

    write_dataset(tmp_path / "whole", [encode(smooth_image(0, 8, 8))] * 20)
    upload(tmp_path / "whole", bucket / "whole")
    (bucket / "whole" / "shard-00001.parquet").delete()
    with pytest.raises(PoiseError, match=r"shard-00001.parquet.* is missing"):
        ImageDataset.open(bucket / "whole")
    (bucket / "whole" / "shard-00001.parquet").write_text("no Parquet")
    with pytest.raises(PoiseError, match=r"whole/shard-00001.parquet: cannot be read"):
        ImageDataset.open(bucket / "whole").read(np.array([15]))

    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, answers nothing
        for port in (1, silent.getsockname()[1]):
            endpoint = f"http://127.0.0.1:{port}"
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            with pytest.raises(PoiseError, match="does not answer") as refused:
                ImageDataset.open(str(bucket / "whole"))
            assert endpoint in str(refused.value)


def test_wrong_credentials_are_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with s3_server() as strict:
        for name, value in environment(strict).items():
            monkeypatch.setenv(name, value)
        place = strict.make_bucket("private")
        strict.require_credentials()
        status = run(["data", "preview", f"{place}/photos"])
        printed = capsys.readouterr()
        strict.require_credentials(actions_before=10**9)
    assert status == 2
    assert "access is refused" in printed.err
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    without(printed.out + printed.err, KEY_ID, SECRET)


@pytest.mark.heavy
@pytest.mark.ray
def test_a_run_is_prepared_trained_resumed_and_evaluated_on_a_bucket_alone(
    bucket: Location,
    poise_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = str(bucket / "scenes")
    assert run(["data", "prepare", "scenes", place, "--num-images", "48", "--image-px", "24"]) == 0
    assert run(["data", "preview", place, "--output", str(tmp_path / "preview.png")]) == 0
    assert (tmp_path / "preview.png").stat().st_size > 1000

    recipe = tiny_recipe(
        data__dataset=place, training__epochs=2, training__checkpoint_every_steps=3,
        training__stop_after_steps=6, evaluation={"queries": place},
    )  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    monkeypatch.setenv("POISE_STORAGE", str(bucket / "checkpoints"))
    printed = capsys.readouterr().out
    with starting("pretrain", tmp_path) as start:
        printed += finished(start("recipe.yaml", "--name", "far", home=poise_home))
        monkeypatch.delenv("POISE_STORAGE")  # a resumed run knows it
        rest = ("training.stop_after_steps=null", "--name", "far", "--resume")
        printed += finished(start("recipe.yaml", *rest, home=poise_home))
    assert "6 of them done" in printed
    package = re.findall(r"^backbone: (.*)$", printed, re.MULTILINE)[-1]
    assert package.startswith(f"{bucket}/checkpoints/far/checkpoint_")
    assert not list(poise_home.rglob("state.pt")), "checkpoints are in the bucket alone"
    assert not list(poise_home.rglob("*.parquet"))

    assert run(["evaluate", "knn", package, place, "--k", "3", "--no-ray"]) == 0
    assert run(["models", "import", package, "--name", "from-bucket"]) == 0
    printed += "".join(capsys.readouterr())
    without(printed, KEY_ID, SECRET)
    without(everything_kept(poise_home), KEY_ID, SECRET)


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def everything_kept(folder: Path) -> str:
    """All text that a run leaves behind: MLflow's database, artifacts, recipes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)
