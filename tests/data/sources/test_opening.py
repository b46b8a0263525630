"""Every kind of source gives the same samples in the same order, however it is split."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poise.config import PoiseError
from poise.data.sources.base import ImageSource, Sample
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions
from tests.data.images import encode, noise_image, noise_jpeg, write_class_folders


def samples(source: ImageSource, indices: list[int] | None = None) -> list[Sample]:
    chosen = np.array(range(len(source)) if indices is None else indices, dtype=np.int64)
    return list(source.part(chosen).samples())


def write_parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_class_folders_become_labels_in_sorted_order(tmp_path: Path) -> None:
    source = open_source(str(write_class_folders(tmp_path)))
    assert source.classes == ("ant", "bee")
    read = samples(source)
    assert [sample.label for sample in read] == [0, 0, 0, 1, 1, 1]
    assert [sample.path for sample in read][:2] == ["ant/0.jpg", "ant/1.jpg"]
    assert read[4].image == noise_jpeg(101)


def test_a_flat_folder_has_no_labels_and_hidden_files_are_no_images(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", ".DS_Store"):
        (tmp_path / name).write_bytes(noise_jpeg(0))
    source = open_source(str(tmp_path))
    assert source.classes == ()
    assert [(sample.path, sample.label) for sample in samples(source)] == [
        ("a.jpg", -1),
        ("b.jpg", -1),
    ]


def test_deep_folders_take_the_first_folder_as_their_class(tmp_path: Path) -> None:
    write_class_folders(tmp_path)
    (tmp_path / "bee" / "queen").mkdir()
    (tmp_path / "bee" / "queen" / "é\u20ac.jpg").write_bytes(noise_jpeg(9))
    (tmp_path / "loose.jpg").write_bytes(noise_jpeg(8))
    labels = {sample.path: sample.label for sample in samples(open_source(str(tmp_path)))}
    assert labels["bee/queen/é\u20ac.jpg"] == 1
    assert labels["loose.jpg"] == -1


def test_an_unpacked_archive_is_looked_through(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "archive-1.0")
    assert open_source(str(tmp_path)).classes == ("ant", "bee")


def test_links_are_followed_but_not_in_circles_and_dangling_ones_are_faults(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "real")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "ant").symlink_to(tmp_path / "real" / "ant")
    (linked / "again").symlink_to(linked)
    (linked / "gone.jpg").symlink_to(tmp_path / "nowhere")
    read = samples(open_source(str(linked)))
    assert [sample.path for sample in read if sample.fault is None] == [
        f"ant/{number}.jpg" for number in range(3)
    ]
    assert [sample.path for sample in read if sample.fault] == ["gone.jpg"]


def test_a_changed_file_changes_the_key_and_a_mere_look_does_not(tmp_path: Path) -> None:
    write_class_folders(tmp_path)
    before = open_source(str(tmp_path)).key
    assert open_source(str(tmp_path)).key == before
    (tmp_path / "ant" / "0.jpg").write_bytes(noise_jpeg(77) + b"longer")
    assert open_source(str(tmp_path)).key != before


def test_parquet_bytes_with_integer_labels_and_names_beside_them(tmp_path: Path) -> None:
    images = [noise_jpeg(number) for number in range(7)]
    file = write_parquet(
        tmp_path / "train.parquet",
        {
            "image": images,
            "label": pa.array([2, 0, None, 2, 0, 0, 2]),
            "class_name": ["cat", "ant", None, "cat", "ant", "ant", "cat"],
        },
        row_group_size=3,
    )
    source = open_source(str(file))
    assert source.classes == ("ant", "1", "cat")
    assert [sample.label for sample in samples(source)] == [2, 0, -1, 2, 0, 0, 2]
    assert [sample.image for sample in samples(source, [1, 5, 6])] == [images[i] for i in (1, 5, 6)]
    assert [sample.path for sample in samples(source, [4])] == ["train.parquet#4"]


def test_the_hugging_face_layout_is_read_with_its_class_names(tmp_path: Path) -> None:
    features = {"img": {"_type": "Image"}, "fine_label": {"names": ["x", "y"]}}
    for number in range(2):
        rows: list[dict[str, Any]] = [
            {"bytes": noise_jpeg(10 * number + row), "path": None} for row in range(4)
        ]
        rows[3] = {"bytes": None, "path": "elsewhere.jpg"}
        table = pa.table({"img": rows, "fine_label": [0, 1, 1, 0]}).replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / "data" / f"train-0000{number}-of-00002.parquet")
    source = open_source(str(tmp_path))
    assert source.classes == ("x", "y")
    read = samples(source)
    assert [sample.label for sample in read] == [0, 1, 1, 0] * 2
    assert read[5].image == noise_jpeg(11)
    assert [sample.fault for sample in read if sample.fault] == [
        "a path and no image bytes: 'elsewhere.jpg'"
    ] * 2


def test_train_and_test_in_one_folder_are_not_mixed_by_accident(tmp_path: Path) -> None:
    for split in ("train", "test"):
        path = tmp_path / f"{split}-00000-of-00001.parquet"
        write_parquet(path, {"image": [noise_jpeg(0)]})
    with pytest.raises(PoiseError, match=r"several splits \(test, train\)"):
        open_source(str(tmp_path))
    assert len(open_source(f"{tmp_path}/train-*.parquet")) == 1


def test_string_labels_become_classes_in_sorted_order(tmp_path: Path) -> None:
    columns = {"picture": [noise_jpeg(0)] * 4, "class": ["wasp", None, "ant", "ant"]}
    source = open_source(str(write_parquet(tmp_path / "a.parquet", columns)))
    assert source.classes == ("ant", "wasp")
    assert [sample.label for sample in samples(source)] == [1, -1, 0, 0]


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"text": ["hello"]}, "no column holds image bytes"),
        ({"left": [b"1"], "right": [b"2"]}, "rename the one with the images"),
        ({"image": [b"1"], "label": [10**12]}, "holds 1000000000000, which is no class"),
    ],
)
def test_a_parquet_file_without_clear_columns_is_one_line(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(PoiseError, match=message):
        open_source(str(write_parquet(tmp_path / "a.parquet", columns)))


def test_what_is_no_source_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.parquet").write_text("hello")
    for source, message in [
        (str(tmp_path / "nowhere"), "no such file or folder"),
        (str(tmp_path / "empty"), "no file in this folder"),
        (str(tmp_path / "notes.txt"), "not a source"),
        (str(tmp_path / "broken.parquet"), "not a readable Parquet file"),
        ("torchvision:CIFAR11", "did you mean 'torchvision:CIFAR10'"),
        ("torchvision:FakeData/test", "no split 'test'"),
    ]:
        with pytest.raises(PoiseError, match=message) as error:
            open_source(source)
        assert "\n" not in str(error.value)
    with pytest.raises(PoiseError, match="only `scenes` and `scenes-video` are drawn to a size"):
        open_source(str(tmp_path), PrepareOptions(image_px=32))
    with pytest.raises(PoiseError, match="at least 16 and at most 1024 pixels"):
        open_source("scenes", PrepareOptions(image_px=8))
    with pytest.raises(PoiseError, match="at most 1024 pixels a side"):
        open_source("scenes", PrepareOptions(image_px=100_000))


def test_torchvision_arrays_are_encoded_without_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    from torchvision.datasets import FakeData

    from poise.data.views.decode import decode_rgb

    source = open_source("torchvision:FakeData")
    assert len(source) == 1000
    image, target = FakeData()[5]
    (read,) = samples(source, [5])
    assert read.label == int(target)
    np.testing.assert_array_equal(np.asarray(decode_rgb(read.image)), np.asarray(image))


def test_torchvision_files_are_taken_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    data = encode(noise_image(3), quality=30)
    for wnid in ("n01440764", "n02102040"):
        folder = tmp_path / "downloads" / "imagenette2" / "val" / wnid
        folder.mkdir(parents=True)
        (folder / "a.JPEG").write_bytes(data)
    source = open_source("torchvision:Imagenette/val")
    assert source.classes == ("tench", "English springer")
    assert [(sample.image, sample.label) for sample in samples(source)] == [(data, 0), (data, 1)]


def test_a_download_without_a_network_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urllib.error import URLError

    from torchvision.datasets import utils

    def unplugged(*arguments: Any, **options: Any) -> None:
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    monkeypatch.setattr(utils, "urlopen", unplugged, raising=False)
    monkeypatch.setattr("urllib.request.urlopen", unplugged)
    with pytest.raises(PoiseError, match=r"cannot be downloaded .*check the network") as error:
        open_source("torchvision:CIFAR10")
    assert "\n" not in str(error.value)
