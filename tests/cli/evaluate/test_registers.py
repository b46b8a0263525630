import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from poise.cli.main import run
from poise.training.checkpoint import STATE_FILE
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.packages import save_package

__all__ = ["make_dataset"]  # a fixture


def registers(
    arguments: Sequence[object], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    status = run(["evaluate", "registers", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.mark.slow
def test_models_with_and_without_registers_are_measured_and_placed_side_by_side(
    make_dataset: MakeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, out = make_dataset("colours", [0, 1, 2] * 20), tmp_path / "out"
    before = save_package(tmp_path / "before")
    after = save_package(tmp_path / "after", num_registers=2)
    status, printed, err = registers([before, after, dataset, "--out", out], capsys)
    assert status == 0, err
    for text in ("registers/poise-v1", "outlier_share", "no outliers", "norm_register_2"):
        assert text in printed
    files = {"blocks.csv", "norms.png", "places.png", "maps.png", "colours.json"}
    for label in ("before", "after"):
        assert {path.name for path in (out / label).iterdir()} == files
    widths = []
    for name in ("before/maps.png", "after/maps.png", "side-by-side.png"):
        with Image.open(out / name) as picture:
            widths.append(picture.width)
    assert widths[2] > widths[0] + widths[1]

    status, printed, _ = registers(
        [before, after, dataset, "--out", out, "--max-images", 30, "--json"], capsys
    )
    described = json.loads(printed)
    assert status == 0 and described["files"] == [str(out / "side-by-side.png")]
    assert [each["num_images"] for each in described["models"]] == [30, 30]


@pytest.mark.slow
def test_checkpoints_of_one_run_are_drawn_over_their_steps(
    make_dataset: MakeDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, out = make_dataset("colours", [0, 1, 2] * 4), tmp_path / "out"
    models = []
    for step in (10, 20):
        folder = tmp_path / f"checkpoint_{step}"
        folder.mkdir()
        models.append(save_package(folder / "backbone", lineage={"run_id": "unknown-here"}))
        (folder / "run.json").write_text(json.dumps({"step": step, "recipe": {}, "history": []}))
        (folder / STATE_FILE).write_bytes(b"")
    status, printed, err = registers([*models, dataset, "--out", out, "--json"], capsys)
    assert status == 0, err
    assert [each["step"] for each in json.loads(printed)["models"]] == [10, 20]
    assert (out / "steps.png").is_file()
