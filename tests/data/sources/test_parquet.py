"""Parquet files: their splits, their image column, their labels and the names of their classes."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poise.cli.main import run
from poise.config import PoiseError
from poise.data.manifest import Manifest
from poise.data.sources.base import ImageSource
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareOptions
from tests.data.images import noise_jpeg


def write(path: Path, labels: Any = None, names: list[str] | None = None, **more: Any) -> Path:
    """Writes a table of images, with labels and declared class names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = len(next(iter(more.values()))) if labels is None else len(labels)
    columns = {"image": [noise_jpeg(row) for row in range(rows)], **more}
    if labels is not None:
        columns["label"] = labels
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
    pq.write_table(table, path)
    return path


def named(source: ImageSource) -> list[str | None]:
    """Class name of every sample."""
    labels = [each.label for each in source.part(np.arange(len(source))).samples()]
    return [source.classes[label] if label >= 0 else None for label in labels]


def refusal(path: Path, options: PrepareOptions | None = None) -> str:
    with pytest.raises(PoiseError) as error:
        open_source(str(path), options, str(path.parent / "dataset"))
    assert "\n" not in str(error.value)
    return str(error.value)


def run_commands(message: str) -> list[str]:
    """Runs every command that an error names; returns their sources."""
    found = [shlex.split(each)[1:] for each in re.findall(r"`(poise [^`]*)`", message)]
    for command in found:
        assert run(command) == 0, command
    return [command[2] for command in found]


INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
INTEGERS += [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


@pytest.mark.parametrize("values", [[0, 1, 2, 1], [0, 1, None, 1]], ids=["whole", "nullable"])
@pytest.mark.parametrize("type_", INTEGERS, ids=str)
def test_every_integer_type_is_read_with_and_without_nulls(
    tmp_path: Path, type_: pa.DataType, values: list[int | None]
) -> None:
    source = open_source(str(write(tmp_path / "a.parquet", pa.array(values, type_))))
    assert named(source) == [None if value is None else str(value) for value in values]


@pytest.mark.parametrize(
    "labels, expected",
    [
        (pa.array(["b", "a", None, "b"]).dictionary_encode(), ["b", "a", None, "b"]),
        (pa.array([7, 0, 7, None], pa.uint8()).dictionary_encode(), ["7", "0", "7", None]),
        (pa.array(["b", "a", "b"], pa.large_string()), ["b", "a", "b"]),
        (pa.array(["b", "a", "b"], pa.string_view()), ["b", "a", "b"]),
        (pa.array([b"b", b"a", None, b"b"]), ["b", "a", None, "b"]),
        (pa.array([True, False, None, True]), ["true", "false", None, "true"]),
        (pa.array([0, -1, 1, 1]), ["0", None, "1", "1"]),
        (pa.array([None, None], pa.null()), [None, None]),
        (pa.array([None, None], pa.uint8()), [None, None]),
        (pa.array([-1, -1]), [None, None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_other_label_columns_are_read_too_and_minus_one_is_no_label(
    tmp_path: Path, labels: pa.Array, expected: list[str | None]
) -> None:
    source = open_source(str(write(tmp_path / "a.parquet", labels)))
    assert named(source) == expected
    if not any(expected):
        assert source.classes == ()


@pytest.mark.parametrize(
    "labels, reason",
    [
        (pa.array([0, 700, 31, 5]), "701 classes for 4 images"),
        (pa.array([f"a picture of {n}" for n in range(4)]), "4 classes for 4 images"),
        (pa.array(list(range(50)) * 2), "50 classes for 100 images"),
        (pa.array([0.0, 1.0, float("nan"), 1.0]), "holds double"),
        (pa.array([0.5, 1.5]), "holds double: .*0.5"),
        (pa.array([[0], [1, 2]]), "holds list<element: int64>, neither"),
        (pa.array([0, -2, 1, 1]), "holds -2; −1 alone stands for 'no label'"),
        (pa.array([2**64 - 1, 0], pa.uint64()), "holds uint64"),
    ],
    ids=str,
)
def test_values_that_may_not_be_classes_are_refused_with_commands_that_run(
    tmp_path: Path, labels: pa.Array, reason: str
) -> None:
    message = refusal(write(tmp_path / "a.parquet", labels))
    assert re.search(reason, message)
    commands = re.findall(r"`(poise [^`]*)`", message)
    assert commands[-1].endswith("--label none")
    for number, command in enumerate(commands):
        words = shlex.split(command)[1:]
        assert run([*words[:3], str(tmp_path / str(number)), *words[4:]]) == 0


def test_a_coordinate_called_y_is_no_label_however_many_boxes_there_are(tmp_path: Path) -> None:
    rows = 600
    y = np.arange(rows) % 20
    path = write(tmp_path / "boxes.parquet", x=np.arange(rows), y=y, w=y, h=y)
    assert "'y' stands beside 'x', as coordinates do" in refusal(path)
    assert open_source(str(path), PrepareOptions(label="none")).classes == ()
    assert len(open_source(str(path), PrepareOptions(label="y")).classes) == 20


def test_many_classes_with_few_images_each_are_taken_if_declared_or_named(tmp_path: Path) -> None:
    labels = [0, 5, 999]
    declared = write(tmp_path / "a.parquet", labels, names=[f"n{n}" for n in range(1000)])
    assert named(open_source(str(declared))) == ["n0", "n5", "n999"]
    plain = write(tmp_path / "b.parquet", labels)
    assert named(open_source(str(plain), PrepareOptions(label="label"))) == ["0", "5", "999"]


def test_whole_floats_are_labels_when_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", pa.array([0.0, 1.0, float("nan"), None]))
    source = open_source(str(path), PrepareOptions(label="label"))
    assert named(source) == ["0", "1", None, None]


def test_the_label_option_names_a_column_or_lists_what_there_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1, 1], species=["owl", "owl", "cat"])
    assert named(open_source(str(path), PrepareOptions(label="species"))) == ["owl", "owl", "cat"]
    assert "has no such column (it has image, species and label)" in refusal(
        path, PrepareOptions(label="specie")
    )
    assert "whose labels are a column" in refusal(path, PrepareOptions(label="folders"))
    assert "holds the images" in refusal(path, PrepareOptions(label="image"))
    source = open_source(str(write(tmp_path / "b.parquet", species=["owl"] * 3)))
    assert source.classes == ()
    assert (
        "no column is called label, labels or fine_label or the like; --label COLUMN"
        in (source.notes[0])
    )


def test_two_columns_that_may_be_the_labels_are_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet", fine_label=[0, 1, 2, 2], coarse_label=pa.array([0, 0, 1, 1])
    )
    message = refusal(path)
    assert "fine_label and coarse_label may all be the labels" in message
    for column, command in zip(
        ("fine", "coarse"), re.findall(r"`(poise [^`]*)`", message), strict=True
    ):
        words = shlex.split(command)[1:]
        assert run([*words[:3], str(tmp_path / column), *words[4:]]) == 0


def test_columns_that_differ_in_case_alone_are_two_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1] * 6, Label=[0, 0, 1] * 4)
    assert "columns Label and label may all be the labels" in refusal(path)


def test_identifiers_are_offered_no_command_that_would_be_refused(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "a.parquet", [0, 10**15] * 6))
    assert "'label' holds 1000000000000000, which is no class number" in message
    assert len(run_commands(message)) == 1


def test_rows_of_several_splits_in_one_file_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [0, 1] * 6, split=["train", "test"] * 6)
    (note,) = [each for each in open_source(str(path)).notes if "split" in each]
    assert note.startswith("column 'split' holds test, train: images of all of them are taken")


def test_the_fingerprint_changes_with_the_label_column(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet", fine_label=[0, 1, 0, 1], kind=["a", "b"] * 2, colour=["x", "y"] * 2
    )
    prints = set()
    for label in ("fine_label", "kind", "colour", "none"):
        folder = tmp_path / label
        assert run(["data", "prepare", str(path), str(folder), "--label", label]) == 0
        manifest = Manifest.read(folder)
        prints.add(manifest.fingerprint)
        assert manifest.source.endswith(f"--label {label}")
    assert len(prints) == 4


def test_files_that_order_their_names_differently_are_matched_by_name(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a.parquet", [0, 1, 2, -1], names=["cat", "dog", "eel"])
    write(tmp_path / "set" / "b.parquet", pa.array([0, 1, 2, None]), names=["dog", "eel", "ant"])
    source = open_source(str(tmp_path / "set"))
    assert source.classes == ("cat", "dog", "eel", "ant")
    assert named(source) == ["cat", "dog", "eel", None, "dog", "eel", "ant", None]
    assert "matched by name" in source.notes[0]


def test_names_in_a_column_beside_are_matched_by_name_too(tmp_path: Path) -> None:
    for name, names in (("a", ["cat", "dog"]), ("b", ["dog", "cat"])):
        write(tmp_path / "set" / f"{name}.parquet", [0, 1] * 2, class_name=names * 2)
    source = open_source(str(tmp_path / "set"))
    assert named(source) == ["cat", "dog"] * 2 + ["dog", "cat"] * 2


def test_names_that_cannot_be_matched_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a.parquet", [0, 1], names=["crane", "crane"])
    assert open_source(str(tmp_path / "set")).classes == ("crane", "crane")  # as in ImageNet
    write(tmp_path / "set" / "b.parquet", [0, 1], names=["owl", "crane"])
    assert "two classes share a name" in refusal(tmp_path / "set")


def test_a_label_beyond_the_names_is_refused_with_its_file(tmp_path: Path) -> None:
    write(tmp_path / "set" / "a.parquet", [0, 1], names=["cat", "dog"])
    write(tmp_path / "set" / "b.parquet", [0, 7])  # read with the names of the other
    message = refusal(tmp_path / "set")
    assert "b.parquet: column 'label' holds label 7, but the file's metadata name 2" in message
    assert run_commands(message)


def test_files_of_other_label_types_are_refused_or_read_alike(tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.parquet", pa.array([0, 1, 1], pa.uint8()))
    write(tmp_path / "one" / "b.parquet", pa.array([1, None, 0], pa.int64()))
    write(tmp_path / "one" / "c.parquet", pa.array([None, None], pa.null()))
    assert named(open_source(str(tmp_path / "one"))) == ["0", "1", "1", "1", None, "0", None, None]
    write(tmp_path / "one" / "d.parquet", ["x", "y", "x"])
    assert "holds numbers (uint8) in" in refusal(tmp_path / "one")
    write(tmp_path / "two" / "a.parquet", ["x", "y", "x"])
    write(tmp_path / "two" / "b.parquet", pa.array(["z", "y", "z"]).dictionary_encode())
    assert named(open_source(str(tmp_path / "two"))) == ["x", "y", "x", "z", "y", "z"]


def test_a_label_column_that_some_files_lack_is_refused(tmp_path: Path) -> None:
    for number, files in enumerate((("a", "b"), ("b", "a"))):
        folder = tmp_path / str(number)
        write(folder / f"{files[0]}.parquet", [0, 1, 1])
        write(folder / f"{files[1]}.parquet", other=["x"] * 3)
        message = refusal(folder)
        assert f"'label' is missing in {folder / files[1]}.parquet" in message
        assert f"{files[1]}.parquet has no such column" in refusal(
            folder, PrepareOptions(label="label")
        )


def test_files_without_rows_are_left_out_and_alone_they_are_refused(tmp_path: Path) -> None:
    empty = pa.table({"image": pa.array([], pa.binary()), "label": pa.array([], pa.null())})
    (tmp_path / "set").mkdir()
    pq.write_table(empty, tmp_path / "set" / "a.parquet")
    assert "1 Parquet file without any row" in refusal(tmp_path / "set")
    write(tmp_path / "set" / "b.parquet", [1, 0, 1])
    source = open_source(str(tmp_path / "set"))
    assert named(source) == ["1", "0", "1"]
    assert "left out 1 file" in source.notes[-1]


@pytest.mark.parametrize(
    "paths",
    [
        ("train.parquet", "test.parquet"),
        (
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
            "data/val.parquet",
        ),
        ("default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet"),
        ("set-train-0.parquet", "set-train-1.parquet", "set-val-0.parquet"),
        ("320px/a.parquet", "160px/a.parquet"),
        ("odd [1]/train/0.parquet", "odd [1]/test/0.parquet"),
        ("TRAIN-1.parquet", "TRAIN-2.parquet", "Test.parquet"),
    ],
    ids=lambda paths: paths[-1].replace("/", "-"),
)
def test_splits_and_versions_are_refused_with_a_command_for_each_that_runs(
    tmp_path: Path, paths: tuple[str, ...]
) -> None:
    for path in paths:
        write(tmp_path / "set" / path, [0, 1, 1])
    sources = run_commands(refusal(tmp_path / "set"))
    assert len(sources) >= 2
    assert str(tmp_path / "set") not in sources
    whole = sum(len(open_source(source)) for source in sources[:2])
    assert whole == 3 * len(paths)


def test_a_pattern_takes_files_of_several_folders_but_no_hidden_ones(tmp_path: Path) -> None:
    for path in ("a/0.parquet", "b/1.parquet", ".cache/2.parquet"):
        write(tmp_path / path, [0, 1, 1])
    source = open_source(f"{tmp_path}/**/*.parquet")
    assert len(source) == 6
    paths = [each.path for each in source.part(np.array([0, 3])).samples()]
    assert paths == ["a/0.parquet#0", "b/1.parquet#0"]


def test_a_folder_is_named_from_inside_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("train.parquet", "test/0.parquet", "test/1.parquet"):
        write(tmp_path / "set" / path, [0, 1, 1])
    monkeypatch.chdir(tmp_path / "set")
    with pytest.raises(PoiseError) as error:
        open_source(".", destination="../dataset")
    assert run_commands(str(error.value)) == ["test", "train.parquet"]


def test_images_beside_parquet_files_are_refused_with_both_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "photos" / "thumbs.parquet", [0, 1, 1])
    for name in ("0.jpg", "1.jpg"):
        (tmp_path / "photos" / name).write_bytes(noise_jpeg(0))
    message = refusal(tmp_path / "photos")
    first, second = re.findall(r"`(poise [^`]*)`", message)
    assert run(shlex.split(first)[1:]) == 0
    assert "2 images, no labels" in capsys.readouterr().out
    assert run([*shlex.split(second)[1:4], str(tmp_path / "b"), "--format", "parquet"]) == 0
    assert "3 images, 2 classes" in capsys.readouterr().out
    with pytest.raises(PoiseError, match="--format jpeg: choose images or parquet"):
        open_source(str(tmp_path / "photos"), PrepareOptions(format="jpeg"))
    with pytest.raises(PoiseError, match="applies to folders"):
        open_source("scenes", PrepareOptions(format="images"))


def test_splits_beside_images_are_refused_with_commands_that_run(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write(tmp_path / "set" / f"{name}.parquet", [0, 1, 1])
    (tmp_path / "set" / "0.jpg").write_bytes(noise_jpeg(0))
    sources = run_commands(refusal(tmp_path / "set", PrepareOptions(format="parquet")))
    assert [Path(source).name for source in sources] == ["test.parquet", "train.parquet"]


@pytest.mark.parametrize("kind", ["text", "text of the second file", "struct"])
def test_paths_instead_of_bytes_are_told_from_images(tmp_path: Path, kind: str) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.jpg").write_bytes(noise_jpeg(0))
    images: Any = ["pictures/0.jpg", "pictures/1.jpg"]
    if kind == "struct":
        type_ = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        images = pa.array([{"bytes": None, "path": path} for path in images], type_)
    if kind == "text of the second file":
        write(tmp_path / "a.parquet", [0, 1])
    pq.write_table(pa.table({"image": images, "label": [0, 1]}), tmp_path / "b.parquet")
    message = refusal(tmp_path / "b.parquet")
    assert "column 'image' holds text such as 'pictures/0.jpg', not image bytes" in message
    assert run_commands(message) == [str(tmp_path / "pictures")]


def test_paths_of_images_beside_the_table_lead_to_them(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "0.jpg").write_bytes(noise_jpeg(0))
    pq.write_table(pa.table({"image": ["0.jpg"], "y": [1]}), tmp_path / "set" / "list.parquet")
    options = PrepareOptions(format="parquet", label="y")
    assert run_commands(refusal(tmp_path / "set", options)) == [str(tmp_path / "set")]


def test_links_and_other_columns_instead_of_bytes_are_described(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["https://x.org/0.jpg"]}), tmp_path / "a.parquet")
    assert "column 'url' holds text such as" in refusal(tmp_path / "a.parquet")
    assert "download the images" in refusal(tmp_path / "a.parquet")
    pq.write_table(pa.table({"image": [[1, 2]]}), tmp_path / "b.parquet")
    assert "it has image (list<element: int64>)" in refusal(tmp_path / "b.parquet")


def test_images_may_be_dictionaries_views_or_large_and_image_wins(tmp_path: Path) -> None:
    data = [noise_jpeg(0), noise_jpeg(1), noise_jpeg(0)]
    for number, images in enumerate(
        [
            pa.array(data).dictionary_encode(),
            pa.array(data, pa.large_binary()),
            pa.array(data, pa.binary_view()),
        ]
    ):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"png": [b"mask"] * 3, "Image": images}), path)
        source = open_source(str(path))
        assert [each.image for each in source.part(np.arange(3)).samples()] == data


def test_text_that_is_not_utf8_and_columns_of_one_name_are_one_line(tmp_path: Path) -> None:
    bad = pa.array([b"caf\xe9", b"bar", b"bar"]).view(pa.string())
    assert "not UTF-8" in refusal(write(tmp_path / "a.parquet", bad))
    pq.write_table(
        pa.table([[b"1"], [1], [2]], names=["image", "label", "label"]), tmp_path / "b.parquet"
    )
    assert "two columns called 'label'" in refusal(tmp_path / "b.parquet")
    (tmp_path / "b.parquet").rename(tmp_path / os.fsdecode(b"caf\xe9.parquet"))
    (tmp_path / "a.parquet").unlink()
    assert "caf�.parquet: this file's name is not UTF-8" in refusal(tmp_path)


@pytest.mark.parametrize(
    "metadata",
    [b"[", b"[]", b'{"info": null}', b'{"info": {"features": {"label": {"names": "ab"}}}}'],
)
def test_other_writers_metadata_are_no_class_names(tmp_path: Path, metadata: bytes) -> None:
    table = pa.table({"image": [noise_jpeg(0)] * 3, "label": [0, 1, 1]})
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), tmp_path / "a.parquet")
    assert open_source(str(tmp_path / "a.parquet")).classes == ("0", "1")
