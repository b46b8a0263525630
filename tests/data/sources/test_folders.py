"""A folder of images is read in one way, or refused with a command for each way."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from poise.cli.main import run
from poise.config import PoiseError
from poise.data.manifest import Manifest
from poise.data.sources.base import Sample
from poise.data.sources.opening import open_source
from poise.data.sources.options import PrepareCommand, PrepareOptions
from tests.data.images import noise_jpeg
from tests.data.refusals import commands_in, refusal, write

FOLDERS = PrepareOptions(label="folders")


def read(root: Path, options: PrepareOptions | None = None) -> dict[str, str | None]:
    """Path → class name of every sample."""
    source = open_source(str(root), options)
    found: list[Sample] = list(source.part(np.arange(len(source))).samples())
    return {each.path: source.classes[each.label] if each.label >= 0 else None for each in found}


@pytest.mark.parametrize(
    "paths",
    [
        ("train/cat/0.jpg", "val/cat/1.jpg"),
        ("train/cat/0.jpg", "test/1.jpg"),
        ("Train/0.jpg", "VALIDATION/1.jpg", "notes.txt"),
        ("train2017/0.jpg", "val2017/1.jpg", "annotations/instances.csv"),
        ("train_images/0.jpg", "test_images/1.jpg"),
        ("train_images/0.jpg", "train_masks/0.png"),
        ("trn/0.jpg", "tst/1.jpg"),
        ("fold1/cat/0.jpg", "fold2/cat/1.jpg"),
        ("trainA/0.jpg", "trainB/1.jpg", "testA/2.jpg", "testB/3.jpg"),
        ("trainset/0.jpg", "testset/1.jpg"),
        ("train2014/0.jpg", "train2017/1.jpg"),
        ("JPEGImages/0.jpg", "SegmentationClass/0.png"),
        ("train/cat/0.jpg", "more/1.jpg"),
        ("cat/0.jpg", "dog/1.jpg", "test/2.jpg"),
        ("data/train/cat/0.jpg", "data/test/cat/1.jpg", "README.md"),
        ("images/0.jpg", "masks/0.png"),
    ],
    ids=lambda paths: "+".join(sorted({path.rpartition("/")[0] for path in paths})),
)
def test_splits_and_masks_are_refused_with_a_command_for_each_that_runs(
    tmp_path: Path, paths: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(write(tmp_path / "photos", *paths))
    assert "look like parts of a dataset" in message
    commands = commands_in(message)
    assert len(commands) == len({Path(command[3]).name for command in commands}) >= 3
    for command in commands:
        assert run(command) == 0, capsys.readouterr().err


def test_splits_below_class_folders_are_refused_too(tmp_path: Path) -> None:
    paths = [f"{kind}/{split}/0.jpg" for kind in ("bottle", "cable") for split in ("train", "test")]
    message = refusal(write(tmp_path / "parts", *paths))
    assert "'bottle/test', 'bottle/train' look like parts of a dataset" in message
    assert read(tmp_path / "parts", FOLDERS)["cable/test/0.jpg"] == "cable"


def test_parts_of_parts_are_named_too(tmp_path: Path) -> None:
    kinds = [f"{kind}/{split}/0.jpg" for kind in ("images", "masks") for split in ("train", "val")]
    message = refusal(write(tmp_path / "set", *kinds))
    assert [command[2] for command in commands_in(message)[:4]] == [
        str(tmp_path / "set" / kind / split)
        for kind in ("images", "masks")
        for split in ("train", "val")
    ]
    for command in commands_in(message):
        assert run(command) == 0


def test_a_command_is_one_line_whatever_the_folder_is_called(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "it's\nmine", "train/0.jpg", "val/1.jpg"))
    shell = re.findall(r"`poise (.*?)`", message)[0]
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {shell}"], capture_output=True, text=True
    )
    assert words.stdout.split("\0")[2] == str(tmp_path / "it's\nmine" / "train")


@pytest.mark.parametrize("name", ["README.md", "data-00000-of-00001.arrow", "a.tfrecord"])
def test_a_folder_without_images_says_what_it_holds(tmp_path: Path, name: str) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).write_bytes(b"x")
    message = refusal(tmp_path / "set")
    assert f"no images and no Parquet files, only such as '{name}'" in message
    assert ("to_parquet" in message) == name.endswith("arrow")


def test_the_commands_keep_the_other_options_and_quote_names(tmp_path: Path) -> None:
    photos = write(tmp_path / "my photos", "train/0.jpg", "val/1.jpg")
    options = PrepareOptions(num_images=1, seed=3, value_range=(-1.5, 4095), label="none")
    (first, *_) = commands_in(refusal(photos, options))
    assert first[2] == str(photos / "train")
    assert first[4:] == [
        "--num-images",
        "1",
        "--seed",
        "3",
        "--range",
        "-1.5",
        "4095",
        "--label",
        "none",
    ]
    assert run(first) == 0


def test_a_class_that_is_called_train_is_a_class(tmp_path: Path) -> None:
    photos = write(tmp_path, "bus/0.jpg", "train/1.jpg", "train_station/2.jpg", "car/3.jpg")
    assert set(read(photos).values()) == {"bus", "car", "train", "train_station"}


def test_folders_called_like_splits_are_classes_when_asked(tmp_path: Path) -> None:
    photos = write(tmp_path, "train/0.jpg", "test/1.jpg")
    assert read(photos, FOLDERS) == {"test/1.jpg": "test", "train/0.jpg": "train"}


@pytest.mark.parametrize("more", [(), ("README.txt", "LICENSE"), ("annotations/0.xml",)])
def test_one_folder_of_images_is_no_class_and_this_is_said(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    photos = write(tmp_path / "photos", "images/0.jpg", "images/1.jpg", *more)
    source = open_source(str(photos))
    assert (source.classes, len(source)) == ((), 2)
    assert "looked through 'images', its only folder of images" in source.notes[0]
    assert "one folder is no class" in source.notes[1]
    assert (len(source.notes) == 3) == bool(more)
    assert read(photos, FOLDERS)["images/0.jpg"] == "images"


def test_an_archive_with_a_readme_beside_its_folder_is_looked_through(tmp_path: Path) -> None:
    photos = write(tmp_path, "set-1.0/ant/0.jpg", "set-1.0/bee/1.jpg", "README.md")
    assert read(photos) == {"ant/0.jpg": "ant", "bee/1.jpg": "bee"}


def test_a_folder_without_images_is_no_class(tmp_path: Path) -> None:
    write(tmp_path, "ant/0.jpg", "bee/1.jpg", "lists/all.txt", "__MACOSX/ant/0.jpg")
    (tmp_path / "empty").mkdir()
    source = open_source(str(tmp_path))
    assert source.classes == ("ant", "bee")
    assert len(source) == 3  # the list is tried, and set aside


def test_images_beside_class_folders_and_deep_folders_are_spoken_of(tmp_path: Path) -> None:
    write(tmp_path, "ant/0.jpg", "bee/queen/1.jpg", "loose.jpg")
    notes = " ".join(open_source(str(tmp_path)).notes)
    assert "1 file beside the class folders: no label" in notes
    assert "with all that lies below them" in notes


def test_hidden_names_are_left_out_at_any_depth(tmp_path: Path) -> None:
    write(tmp_path, "ant/0.jpg", "bee/1.jpg", ".cache/x/2.jpg", "bee/.thumbs/3.jpg", "ant/._0.jpg")
    assert list(read(tmp_path)) == ["ant/0.jpg", "bee/1.jpg"]
    hidden = write(tmp_path / "hidden", ".git/0.jpg")
    with pytest.raises(PoiseError, match=r"no file in this folder .*dot are left out"):
        open_source(str(hidden))
    assert read(hidden / ".git") == {"0.jpg": None}  # named by a person: not hidden from them


def test_the_label_option_drops_the_labels_and_refuses_columns(tmp_path: Path) -> None:
    write(tmp_path / "photos", "ant/0.jpg", "bee/1.jpg")
    photos = tmp_path / "photos"
    assert set(read(photos, PrepareOptions(label="none")).values()) == {None}
    with pytest.raises(PoiseError, match=r"--label species: .* is a folder of images"):
        open_source(str(photos), PrepareOptions(label="species"))
    with pytest.raises(PoiseError, match="holds no folders of images"):
        open_source(str(photos / "ant"), FOLDERS)
    with pytest.raises(PoiseError, match=r"--label x: 'scenes' has its own labels"):
        open_source("scenes", PrepareOptions(label="x"))
    scenes = open_source("scenes", PrepareOptions(num_images=2, label="none"))
    assert scenes.classes == ()
    assert [each.label for each in scenes.part(np.arange(2)).samples()] == [-1, -1]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_labels_in_an_imagefolder_table_are_not_lost_in_silence(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write(tmp_path / "photos", "0.jpg", "1.jpg")
    (photos / name).write_bytes(b"file_name,label\n0.jpg,1\n")
    message = refusal(photos)
    assert f"'{name}' is a table of Hugging Face's imagefolder format" in message
    (command,) = commands_in(message)
    assert run(command) == 0
    assert "2 images, no labels" in capsys.readouterr().out


def test_a_class_name_that_is_not_utf8_is_refused_before_any_work(tmp_path: Path) -> None:
    photos = write(tmp_path / "photos", os.fsdecode(b"caf\xe9/0.jpg"), "bar/1.jpg")
    assert run(["data", "prepare", str(photos), str(tmp_path / "dataset")]) == 2
    assert not (tmp_path / "dataset").exists()
    assert "the class name 'caf�' is not UTF-8; rename it" in refusal(tmp_path / "photos")
    assert len(open_source(str(tmp_path / "photos"), PrepareOptions(label="none"))) == 2


def test_other_names_that_are_not_utf8_cost_nothing(tmp_path: Path) -> None:
    write(tmp_path, os.fsdecode(b"caf\xe9.jpg"), "new\nline.jpg")
    assert set(read(tmp_path)) == {"caf�.jpg", "new\\nline.jpg"}
    odd = tmp_path / os.fsdecode(b"d\xe9p\xf4t")
    odd.mkdir()
    with pytest.raises(PoiseError, match="not UTF-8"):
        open_source(str(odd))
    assert run(["data", "prepare", "scenes", str(odd), "--num-images", "1"]) == 2


def test_a_sub_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "ant/0.jpg", "bee/1.jpg")
    scan = os.scandir

    def guarded(path: str) -> object:  # root may read everything, so modes would not do
        if str(path).endswith("bee"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(PoiseError, match=r"bee: this folder cannot be read \(Permission denied\)"):
        open_source(str(tmp_path))


def test_links_in_circles_end_and_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "photos", "ant/0.jpg", "bee/1.jpg")
    photos = tmp_path / "photos"
    (photos / "itself.jpg").symlink_to(photos / "itself.jpg")
    (photos / "ant" / "up").symlink_to(photos)
    (photos / "bee" / "further-up").symlink_to(tmp_path)
    (photos / "bee" / "ant").symlink_to(photos / "ant")
    assert list(read(photos)) == ["ant/0.jpg", "bee/1.jpg", "itself.jpg"]
    assert open_source(str(photos)).notes[-1].startswith("did not follow 3 links to folders")


def test_a_very_deep_tree_is_read(tmp_path: Path) -> None:
    path = str(tmp_path)
    for _ in range(1200):  # Python's own limit of recursion is 1000
        path = f"{path}/a"
        os.mkdir(path)  # noqa: PTH102 — a Path this deep takes long to make
    folder = Path(path)
    (folder / "0.jpg").write_bytes(noise_jpeg(0))
    try:
        assert len(open_source(str(tmp_path))) == 1
    finally:  # pytest would not get to the bottom of it
        (folder / "0.jpg").unlink()
        os.removedirs(folder)


def test_a_prepared_dataset_is_no_source(tmp_path: Path) -> None:
    assert run(["data", "prepare", "scenes", str(tmp_path / "scenes"), "--num-images", "3"]) == 0
    with pytest.raises(PoiseError, match="is a prepared dataset already"):
        open_source(str(tmp_path / "scenes"))


def test_class_names_belong_to_the_fingerprint_of_folders(tmp_path: Path) -> None:
    prints = []
    for name in ("ant", "asp"):
        write(tmp_path / name, f"{name}/0.jpg", "bee/1.jpg")
        folder = tmp_path / f"{name}-dataset"
        assert run(["data", "prepare", str(tmp_path / name), str(folder)]) == 0
        prints.append(Manifest.read(folder).fingerprint)
    assert prints[0] != prints[1]


def test_what_the_file_system_cannot_name_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for source in ("x" * 5000, str(tmp_path / "loop"), str(tmp_path / "pipe"), "a\0b"):
        with pytest.raises(PoiseError) as error:
            open_source(source)
        assert "\n" not in str(error.value)


def test_face_masks_are_classes(tmp_path: Path) -> None:
    photos = write(tmp_path / "faces", "with_mask/0.jpg", "without_mask/1.jpg")
    assert set(read(photos).values()) == {"with_mask", "without_mask"}


@pytest.mark.parametrize("name", ["-n", "caf\udce9", "it's\t"])
def test_a_command_names_its_source_byte_for_byte(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = str(PrepareCommand(name, "-out"))
    shell = command.removeprefix("poise ")
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {shell}"], capture_output=True)
    _, _, source, destination, _ = words.stdout.split(b"\0")
    assert Path(os.fsdecode(source)) == Path(name)
    assert not source.startswith(b"-")
    assert destination == b"./-out"
