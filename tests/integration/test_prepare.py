"""`poise data` as a person uses it: on Ray, interrupted, and looked at."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from poise.cli.main import run
from poise.config import PoiseError
from poise.data.manifest import Manifest
from poise.data.preparation import ingest
from poise.data.preparation.ingest import prepare
from poise.data.preparation.preparation_progress import REPORTS_FOLDER
from poise.data.sources.options import PrepareOptions
from tests.data.annotated_files import mask_of, write_coco, write_images, write_mask
from tests.data.images import noise_jpeg, write_class_folders
from tests.waiting import wait_until

# `poise` with shards of 64 images: in the middle of the second it says so and waits for a signal.
STUCK_IN_THE_SECOND_SHARD = """
import sys
from pathlib import Path
from poise.cli.main import main
from poise.data.preparation import ingest
from poise.data.sources import scene_drawing

def draw(seed, index, px, draw=scene_drawing.draw_scene):
    if index == 96:
        Path(sys.argv[4]).with_name("stuck").touch()
        sys.stdin.read()
    return draw(seed, index, px)

ingest.SAMPLES_PER_SHARD = 64
scene_drawing.draw_scene = draw
main()
"""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_ray_gives_the_very_dataset_that_one_process_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_class_folders(tmp_path / "photos", per_class=20)
    for number in (3, 17):
        (photos / "ant" / f"{number}.jpg").write_bytes(b"broken")
    monkeypatch.setattr(ingest, "SAMPLES_PER_SHARD", 6)
    serial = prepare(str(photos), tmp_path / "serial" / "photos", parallel=False)
    parallel = prepare(str(photos), tmp_path / "parallel" / "photos", parallel=True)
    assert parallel == serial
    for folder in ("serial", "parallel"):
        lines = (tmp_path / folder / "photos" / "quarantine.jsonl").read_text().splitlines()
        assert len(lines) == 2


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_annotations_travel_to_rays_workers_as_images_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}.jpg" for number in range(9)]
    photos = write_images(tmp_path / "photos", *names)
    for value, name in enumerate(names, start=1):
        mask = mask_of((value, 1, 1, 9, 9))
        write_mask(tmp_path / "masks" / Path(name).with_suffix(".png"), mask)
    shapes = [
        {
            "image_id": 10 + place,
            "category_id": 3,
            "bbox": [1, 1, 8, 8],
            "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]],
        }
        for place in range(len(names))
    ]
    coco = write_coco(tmp_path / "coco.json", names, shapes)
    monkeypatch.setattr(ingest, "SAMPLES_PER_SHARD", 3)
    masks = PrepareOptions(masks=str(tmp_path / "masks"), sequences=True)
    for kind, options in (("masks", masks), ("coco", PrepareOptions(coco=str(coco)))):
        serial = prepare(str(photos), tmp_path / "serial" / kind, options, parallel=False)
        parallel = prepare(str(photos), tmp_path / "parallel" / kind, options, parallel=True)
        assert parallel == serial
        assert serial.annotation_fingerprint
    (tmp_path / "masks" / "7.png").write_bytes(b"broken")
    with pytest.raises(PoiseError, match=r"7.png \(mask of '7.jpg'\): cannot be read"):
        prepare(str(photos), tmp_path / "broken", masks, parallel=True)


@pytest.mark.slow
def test_ctrl_c_loses_no_finished_shard_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ingest, "SAMPLES_PER_SHARD", 64)
    folder = tmp_path / "scenes"
    arguments = ["data", "prepare", "scenes", str(folder), "--num-images", "256"]
    command = [sys.executable, "-c", STUCK_IN_THE_SECOND_SHARD, *arguments, "--image-px", "16"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True) as process:
        wait_until(lambda: (tmp_path / "stuck").exists() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        errors = process.stderr.read()
    assert (process.returncode, errors) == (130, "interrupted\n")
    assert not (folder / "manifest.json").exists()
    assert [path.name for path in (folder / REPORTS_FOLDER).iterdir()] == ["shard-00000.json"]
    shard = folder / "shard-00000.parquet"
    written = shard.stat().st_mtime_ns
    assert run([*arguments, "--image-px", "16"]) == 0
    assert "64 images were already done and were not repeated" in capsys.readouterr().out
    assert shard.stat().st_mtime_ns == written
    assert Manifest.read(folder).num_samples == 256


@pytest.mark.slow
def test_prepare_then_preview_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, picture = str(tmp_path / "scenes"), str(tmp_path / "preview.png")
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        f"name: tiny\ndata: {{dataset: {dataset}, "
        "views: {global_px: 32, local_px: 16, local_count: 2}}\n"
    )
    assert run(["data", "prepare", "scenes", dataset, "--num-images", "40"]) == 0
    assert "40 images, 8 classes, 1 shard" in capsys.readouterr().out
    assert run(["data", "preview", dataset, "--recipe", str(recipe), "--output", picture]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "drawing 8 of 40 images and 4 views of each …"
    assert printed[1] == f"views     2 of 32 px and 2 of 16 px, as in {recipe}"
    assert printed[-1] == f"picture   {picture}"
    assert Path(picture).stat().st_size > 10_000


def test_prepare_tells_why_files_are_missing_and_what_it_found_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_class_folders(tmp_path / "photos", per_class=4)
    for number in range(3):
        (photos / "ant" / f"{number}.jpg").write_bytes(b"")
    (photos / "bee" / "0.jpg").write_bytes((photos / "bee" / "1.jpg").read_bytes()[:500])
    command = ["data", "prepare", str(photos), str(tmp_path / "dataset")]
    assert run(command) == 0
    first = capsys.readouterr().out
    assert "4 set aside, listed in " in first
    assert "  3 × empty file\n  1 × damaged header\n" in first
    assert "done before" not in first
    assert run(command) == 0
    again = capsys.readouterr().out
    assert again == f"{tmp_path / 'dataset'}: was already finished; nothing was done\n{first}"


def test_prepare_prints_the_images_of_every_class_and_warns_of_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_class_folders(tmp_path / "photos", per_class=2)
    (photos / "loose.jpg").write_bytes(noise_jpeg(9))
    for number in range(2):
        (photos / "bee" / f"{number}.jpg").write_bytes(b"")
    assert run(["data", "prepare", str(photos), str(tmp_path / "dataset")]) == 0
    printed = capsys.readouterr()
    assert "images by class: ant: 2, bee: 0\n  1 image without a label\n" in printed.out
    assert "  1 class without an image\n" in printed.out
    assert "only one class has images" in printed.err
    assert "1 file beside the class folders: no label" in printed.err


def test_prepare_prints_the_first_and_the_last_of_many_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(30):
        folder = tmp_path / "photos" / f"class-{number:02d}"
        folder.mkdir(parents=True)
        for image in range(1 + number % 2):
            (folder / f"{image}.jpg").write_bytes(noise_jpeg(number))
    assert run(["data", "prepare", str(tmp_path / "photos"), str(tmp_path / "dataset")]) == 0
    (line,) = re.findall("images by class: (.*)", capsys.readouterr().out)
    shown = line.split(", ")
    assert shown[:2] == ["class-00: 1", "class-01: 2"]
    assert shown[-2:] == ["…", "class-29: 2"]
    assert len(shown) == 12


def test_expected_failures_are_one_line_and_status_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "prepare", str(tmp_path / "nowhere"), str(tmp_path / "dataset")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nowhere'}: no such file")
    assert run(["data", "preview", str(tmp_path)]) == 2
    assert "not a prepared dataset" in capsys.readouterr().err
