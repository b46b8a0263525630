"""An archive is refused with the commands that unpack it."""

import re
import shlex
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from poise.cli.main import run
from poise.config import PoiseError
from poise.data.sources.opening import open_source
from tests.data.images import noise_jpeg


def write_tar(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "image").write_bytes(noise_jpeg(0))
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.add(path.parent / "image", name)
    (path.parent / "image").unlink()
    return path


def test_a_webdataset_is_refused_with_commands_that_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        write_tar(tmp_path / "my shards" / f"{number}.tar", "0.jpg", "1.jpg", "1.cls")
    with pytest.raises(PoiseError, match=r"holds tar files \(WebDataset\)") as error:
        open_source(str(tmp_path / "my shards"), destination=str(tmp_path / "dataset"))
    (script,) = re.findall("`(.*?)`", str(error.value))
    loop, _, command = script.rpartition("; ")
    subprocess.run(["bash", "-ec", loop], check=True)
    assert run(shlex.split(command)[1:]) == 0
    assert "6 images, no labels" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["photos.tar", "photos.zip"])
def test_an_archive_of_class_folders_is_unpacked_by_the_command(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = write_tar(tmp_path / name, "ant/0.jpg", "bee/1.jpg")
    if name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("ant/0.jpg", noise_jpeg(0))
            zipped.writestr("bee/1.jpg", noise_jpeg(1))
    with pytest.raises(PoiseError, match="an archive, which Poise does not read") as error:
        open_source(str(archive), destination=str(tmp_path / "dataset"))
    (script,) = re.findall("`(.*?)`", str(error.value))
    unpack, _, command = script.rpartition(" && ")
    subprocess.run(["bash", "-ec", unpack], check=True)
    assert run(shlex.split(command)[1:]) == 0
    assert "2 images, 2 classes" in capsys.readouterr().out


def test_an_archive_beside_images_does_not_hide_them(tmp_path: Path) -> None:
    write_tar(tmp_path / "backup.tar", "0.jpg")
    (tmp_path / "0.jpg").write_bytes(noise_jpeg(0))
    assert len(open_source(str(tmp_path))) == 2  # the archive is tried, and set aside
