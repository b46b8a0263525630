import json
from pathlib import Path

import pytest
from PIL import Image

from poise.cli.main import run
from poise.tracking.metric_values import history
from poise.tracking.run import Run
from poise.tracking.store import Store
from tests.cli.evaluate.test_attention import OPTIONS, save_model
from tests.evaluation.objects.conftest import RedObject, write_objects
from tests.tracking.conftest import run as made_by
from tests.tracking.conftest import store

__all__ = ["made_by", "store"]  # fixtures

OBJECTS = [RedObject((48, 40), [(8 * place, 8, 8 * place + 16, 24)]) for place in range(4)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "figure", "protocol"),
    [
        ("objects", "corloc", "objects/lost-corloc-v1"),
        ("masks", "jaccard_best_head_per_image", "masks/attention-v1"),
    ],
)
def test_figures_are_printed_drawn_and_kept_with_the_run_that_made_the_model(
    name: str,
    figure: str,
    protocol: str,
    store: Store,
    made_by: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset, out = write_objects(tmp_path / "red", OBJECTS), tmp_path / "out"
    model = save_model(tmp_path / "vit", run_id=made_by.run_id, **OPTIONS)
    arguments = ["evaluate", name, model, str(dataset), "--out", str(out)]
    assert run(arguments) == 0
    printed = capsys.readouterr().out
    for text in (protocol, figure, "4 of ", made_by.run_id, "95 % interval"):
        assert text in printed
    files = {path.name for path in (out / "vit").iterdir()}
    assert files == {"red.json", f"{name}.png"}

    assert run([*arguments, "--kept-mass", "0.5", "--json"]) == 0
    (described,) = json.loads(capsys.readouterr().out)["models"]
    assert described["changed"] == ["kept_mass=0.5"]
    found = {each["name"]: each for each in described["figures_found"]}
    assert found[figure]["low"] <= found[figure]["value"] <= found[figure]["high"]
    metric = f"probe/red/{protocol.replace('/', '-')}/{figure}"
    ((points),) = history(store, made_by.run_id, [metric]).values()
    assert len(points) == 1
    kept = store.client.list_artifacts(made_by.run_id, f"probes/{protocol.replace('/', '-')}/red")
    assert {Path(each.path).name for each in kept} == files


@pytest.mark.slow
def test_a_dataset_without_boxes_or_masks_is_one_line_with_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from poise.data.preparation.ingest import prepare

    (tmp_path / "images" / "a").mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(tmp_path / f"images/a/{number}.png")
    prepare(str(tmp_path / "images"), tmp_path / "plain")
    model = save_model(tmp_path / "vit", **OPTIONS)
    for name, kind in (("objects", "boxes"), ("masks", "masks")):
        out = str(tmp_path / name)
        assert run(["evaluate", name, model, str(tmp_path / "plain"), "--out", out]) == 2
        err = capsys.readouterr().err
        assert f"has no {kind}" in err and "poise data prepare" in err and err.count("\n") == 1


@pytest.mark.slow
def test_a_video_becomes_frames_and_an_animation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, out = tmp_path / "frames", tmp_path / "out"
    frames.mkdir()
    for number in range(3):
        Image.new("RGB", (40, 30), (50 * number, 99, 0)).save(frames / f"{number}.png")
    model = save_model(tmp_path / "vit", **OPTIONS)
    arguments = ["evaluate", "attention-video", model, str(frames), str(out)]
    assert run([*arguments, "--animation", "gif", "--fps", "10", "--show", "both"]) == 0
    assert "3 in " in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [
        "attention.gif", "frame-00000.png", "frame-00001.png", "frame-00002.png",
    ]  # fmt: skip
    with Image.open(out / "attention.gif") as animation:
        assert animation.size == (120, 30) and animation.info["duration"] == 100
    assert run(arguments) == 2
    assert "is not empty" in capsys.readouterr().err
    assert run([*arguments[:-1], str(tmp_path / "other"), "--head", "9"]) == 2
    assert "heads have the numbers 1 to 2" in capsys.readouterr().err
