"""Every image that can be read becomes a row, in order, whatever happens on the way."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from poise.config import PoiseError
from poise.evaluation.feature_table import embed as embedding
from poise.evaluation.feature_table.collection import open_collection
from poise.evaluation.feature_table.embed import Embedded, EmbeddingJob, embed_collection
from poise.evaluation.feature_table.parts import Parts, first_change, read_facts
from poise.evaluation.reading.inference import Bench

PX = 16


class MeanColour(nn.Module):
    """Stands for a backbone: [B, 3] means of colours, in [0, 1]."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


class InterruptedJobError(Exception):
    """Stands for the end of a process."""


def bench(num_images: int, **options: Any) -> Bench:
    return Bench(([0.0] * 3, [1.0] * 3), torch.device("cpu"), batch_size=4, **options)


def job(source: Path, out: Path, **options: Any) -> EmbeddingJob:
    opened = open_collection(str(source), **options)
    return EmbeddingJob(opened, PX, out, {"source_key": opened.key, "features": "mean"}, 0.0)


def run(source: Path, out: Path, **options: Any) -> Embedded:
    return embed_collection(MeanColour(), job(source, out, **options), bench)


def save(path: Path, level: int = 0, size: tuple[int, int] = (20, 20), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 0, 0)).convert(mode).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Thirty images whose red value is their place, of which number 7 and 22 are no images."""
    folder = tmp_path / "photos"
    for number in range(30):
        save(folder / f"{number:02d}.png", number)
    (folder / "07.png").write_bytes(b"no image")
    data = (folder / "22.png").read_bytes()
    (folder / "22.png").write_bytes(data[: len(data) // 2])
    return folder


def rows(out: Path) -> dict[str, list[Any]]:
    return dict(pq.read_table(out).to_pydict())


def test_rows_have_the_order_of_the_source_and_bad_images_are_listed(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    found = run(photos, out)
    assert found.rows == 28
    table = rows(out)
    kept = [number for number in range(30) if number not in (7, 22)]
    assert table["id"] == kept
    assert table["path"] == [f"{number:02d}.png" for number in kept]
    assert np.allclose([row[0] * 255 for row in table["embedding"]], kept, atol=1e-3)
    assert [each.path for each in found.skipped] == ["07.png", "22.png"]
    lines = (tmp_path / "out.skipped.jsonl").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["07.png", "22.png"]
    assert "not an image" in json.loads(lines[0])["reason"]
    assert not (tmp_path / "out.parquet.partial").exists()


def test_the_file_has_a_fixed_size_list_and_says_what_it_is(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    run(photos, out)
    schema = pq.read_schema(out)
    assert str(schema.field("embedding").type) == "fixed_size_list<element: float>[3]"
    assert "label" not in schema.names
    facts = read_facts(out)
    assert (facts["features"], facts["num_images"], facts["num_skipped"]) == ("mean", 28, 2)


@pytest.mark.parametrize("done", [0, 1, 3, 7])
def test_an_interrupted_job_continues_and_writes_the_same_file(
    photos: Path, tmp_path: Path, done: int
) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    run(photos, whole)
    batches = 0

    def stop(images: int) -> None:
        nonlocal batches
        batches += 1
        if batches > done:
            raise InterruptedJobError

    with pytest.raises(InterruptedJobError):
        embed_collection(MeanColour(), job(photos, out), lambda n: bench(n, on_images=stop))
    assert not out.exists()
    found = run(photos, out)
    assert found.resumed_from == min(30, 4 * (done + 1))
    assert rows(out) == rows(whole)
    assert len(found.skipped) == 2


def test_parts_of_another_job_are_refused(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    begun = job(photos, out)
    with Parts(out).claimed(begun.request):
        pass
    other = replace(begun, request={**begun.request, "features": "cls"})
    with pytest.raises(PoiseError, match=r"holds parts of another job \(features: mean, and now"):
        embed_collection(MeanColour(), other, bench)


def test_of_a_retrained_model_only_the_first_changed_file_is_named() -> None:
    # The error printed the checksums of all files, of the old and of the new model.
    held = {"files_sha256": {"config.json": "a", "weights.safetensors": "b", "head.json": "c"}}
    now = {"files_sha256": {"config.json": "a", "weights.safetensors": "d", "head.json": "e"}}
    assert first_change(held, now) == "files_sha256: another weights.safetensors"
    gone = {"files_sha256": {"config.json": "a", "weights.safetensors": "b"}}
    assert first_change(held, gone) == "files_sha256: another head.json"


def test_two_processes_do_not_write_one_file(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    begun = job(photos, out)
    with (
        Parts(out).claimed(begun.request),
        pytest.raises(PoiseError, match="another process is writing it"),
    ):
        run(photos, out)


def test_memory_holds_one_part(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_IMAGES_PER_PART", 8)
    sizes: list[int] = []
    add = Parts.add

    def noted(self: Parts, start: int, stop: int, *rest: Any) -> None:
        sizes.append(stop - start)
        add(self, start, stop, *rest)

    monkeypatch.setattr(Parts, "add", noted)
    patient = replace(job(photos, tmp_path / "out.parquet"), seconds_per_part=1e9)
    embed_collection(MeanColour(), patient, bench)
    assert sizes == [8, 8, 8, 6]


def hostile(folder: Path) -> Iterator[str]:
    """Names of images that can be read, however unusual."""
    for mode, name in (("L", "grey"), ("RGBA", "clear"), ("P", "palette"), ("1", "bits")):
        save(folder / f"{name}.png", 200, mode=mode)
        yield f"{name}.png"
    save(folder / "wide.png", 200, (900, 9))
    save(folder / "照片 – ü.png", 200)
    save(folder / "below" / "deep" / "a.jpg", 200)
    save(folder / "below" / "no suffix.jpeg", 200)
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 20)).save(folder / "turned.jpg", exif=exif)
    yield from ("wide.png", "照片 – ü.png", "below/deep/a.jpg", "below/no suffix.jpeg")
    yield "turned.jpg"


def test_unusual_images_become_rows_and_hopeless_ones_do_not(tmp_path: Path) -> None:
    folder = tmp_path / "fotos für 照片"
    wanted = list(hostile(folder))
    save(folder / "one.png", size=(1, 1))
    Image.fromarray(np.full((20, 20), 4000, np.uint16)).save(folder / "deep.png")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "gone.jpg").symlink_to("nowhere")
    (folder / "notes.txt").write_text("not an image, and not counted")
    found = run(folder, tmp_path / "out.parquet")
    assert rows(tmp_path / "out.parquet")["path"] == sorted(wanted)
    reasons = {each.path: each.reason for each in found.skipped}
    assert sorted(reasons) == ["deep.png", "empty.jpg", "gone.jpg", "one.png"]
    assert "1×1 pixels" in reasons["one.png"]
    assert "uint16" in reasons["deep.png"]
    assert "empty file" in reasons["empty.jpg"]
    assert "cannot be read" in reasons["gone.jpg"]
    run(folder, tmp_path / "again.parquet", value_range=(0.0, 8000.0))
    assert "deep.png" in rows(tmp_path / "again.parquet")["path"]


def test_class_folders_become_labels_only_if_asked(tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out.parquet"
    for name in ("cats/a.png", "dogs/b.png", "loose.png"):
        save(folder / name)
    run(folder, out, label="folders")
    assert rows(out)["label"] == [0, 1, None]
    assert read_facts(out)["classes"] == ["cats", "dogs"]


def test_a_folder_without_a_usable_image_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PoiseError, match="empty: is empty; give a folder of images"):
        open_collection(str(tmp_path / "empty"))
    with pytest.raises(PoiseError, match="is no folder of images and no prepared dataset"):
        open_collection(str(tmp_path / "nowhere"))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"x")
    with pytest.raises(PoiseError, match=r"none of its 1 files can be read.*a\.jpg: not an image"):
        run(tmp_path / "bad", tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
    assert not (tmp_path / "out.parquet.partial").exists()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.parquet").write_bytes(b"x")
    with pytest.raises(
        PoiseError, match=r"only 1 other file such as 'a.parquet'.*`poise data prepare"
    ):
        open_collection(str(tmp_path / "tables"))


def test_a_place_that_cannot_be_written_is_an_error_before_the_work(
    photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PoiseError, match="cannot be written"):
        run(photos, tmp_path / "file" / "out.parquet")
