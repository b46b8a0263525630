"""Locations on this machine and in storages, and what is refused in their URIs."""

import pickle
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO
from uuid import uuid4

import pytest

from poise.config import PoiseError
from poise.config.checkpoint_storage import checkpoints_of, keep_storage
from poise.config.locations import Location
from poise.config.paths import home
from poise.config.storage import MissingFileError, Storage
from tests.builders import tiny_recipe

SECRET = "abc/DEF+123"


@pytest.fixture(params=["folder", "storage"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty folder on this machine, and one in a storage that pyarrow keeps in memory."""
    if request.param == "folder":
        return Location.of(tmp_path / "folder")
    return Location.of(f"fsspec+memory://{uuid4().hex}/folder")


def test_what_is_written_is_read_listed_and_deleted(place: Location) -> None:
    assert (place.is_folder(), place.files(), place.names()) == (False, {}, [])
    (place / "a.txt").write_text("é")
    (place / "inner" / "b.txt").write_text("b")
    assert (place / "a.txt").read_text() == "é"
    assert (place / "a.txt").status().size == 2
    assert {name: each.size for name, each in place.files().items()} == {"a.txt": 2}
    assert set(place.files(recursive=True)) == {"a.txt", "inner/b.txt"}
    assert sorted(place.names()) == ["a.txt", "inner"]
    assert (place / "a.txt").is_file()
    assert (place / "inner").is_folder()
    (place / "a.txt").delete()
    (place / "inner").delete_folder()
    assert place.names() == []
    (place / "a.txt").delete()  # what is not there needs no deletion
    (place / "inner").delete_folder()


def test_a_file_whose_writing_fails_does_not_appear(place: Location) -> None:
    with pytest.raises(RuntimeError, match="half"), (place / "a").writing() as file:
        file.write(b"the first")
        raise RuntimeError("half of it")
    assert not (place / "a").is_file()
    assert place.files() == {}


def test_a_file_that_is_not_there_is_a_missing_file(place: Location) -> None:
    for read in (Location.read_bytes, Location.status):
        with pytest.raises((FileNotFoundError, MissingFileError), match="lost"):
            read(place / "lost")


def test_a_folder_is_uploaded_with_its_last_file_at_the_end(
    place: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    writing = Location.writing

    def noted(self: Location) -> AbstractContextManager[IO[bytes]]:
        order.append(self.name)
        return writing(self)

    monkeypatch.setattr(Location, "writing", noted)
    for name in ("z/deep.bin", "a.bin", "run.json"):
        (tmp_path / "from" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / name).write_bytes(name.encode())
    place.upload(tmp_path / "from", last="run.json")
    assert set(place.files(recursive=True)) == {"z/deep.bin", "a.bin", "run.json"}
    assert order[-1] == "run.json"


def test_a_location_is_sent_to_other_processes(place: Location) -> None:
    (place / "a").write_text("a")
    assert pickle.loads(pickle.dumps(place / "a")).read_text() == "a"


@pytest.mark.parametrize(
    "text",
    ["s3://bucket/a/b", "s3://bucket", "gs://bucket/50%25/wh%3Fy/%23", "hdfs://name:9000/a",
     "s3://bucket/a?region=eu-west-1", "hdfs://me@name/a", "s3://bucket/me@home/x:y",
     "gs://anonymous@bucket/a", "fsspec+sftp://me@host/a", "abfss://container@account/a"],
)  # fmt: skip
def test_a_uri_is_written_as_it_was_read(text: str) -> None:
    place = Location.of(text)
    assert str(place) == text
    assert Location.of(str(place)) == place
    assert (place / "x" / "y").parent.parent == place
    assert not place.is_local


def test_names_with_signs_of_a_uri_stay_what_they_are() -> None:
    place = Location.of("s3://bucket/photos") / "100%?#.jpg"
    assert place.path == "photos/100%?#.jpg"
    assert Location.of(str(place)) == place


def test_a_file_uri_is_a_path_of_this_machine(tmp_path: Path) -> None:
    place = Location.of(f"file://{tmp_path}/a%20b")
    assert (place.is_local, place.local) == (True, tmp_path / "a b")
    assert Location.of("relative").absolute().local == Path.cwd() / "relative"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"s3://KEY:{SECRET}@bucket/a", "s3://bucket/a"),
        ("s3://KEY@bucket/a", "s3://bucket/a"),
        ("s3://KEY%3Aabc%2FDEF@bucket/a", "s3://bucket/a"),
        ("https://KEYabc@host/a", "https://host/a"),
        ("gs://KEYabc@bucket/a", "gs://bucket/a"),
        ("fsspec+https://KEYabc@host/a", "fsspec+https://host/a"),
        ("unknown://KEYabc@host/a", "unknown://host/a"),
        (f"S3://KEY:{SECRET}", "S3://…"),
        (f"gs://user:{SECRET}@bucket/a", "gs://bucket/a"),
        (f"hdfs://user:{SECRET}@name:9000/a", "hdfs://name:9000/a"),
        (f"fsspec+sftp://user:{SECRET}@host/a", "fsspec+sftp://host/a"),
        (f"s3://bucket/a?secret_key={SECRET}", "s3://bucket/a"),
        ("s3://bucket/a?access_key=KEY&region=x", "s3://bucket/a"),
        (f"s3://bucket/a?X-Amz-Signature={SECRET}", "s3://bucket/a"),
        (f"s3://bucket/a?endpoint_override=http://user:{SECRET}@host", "s3://bucket/a"),
        (f"gs://bucket/a?access_token={SECRET}", "gs://bucket/a"),
        (f"abfss://container@account.dfs.core.windows.net/a?sig={SECRET}", "abfss://container@"),
    ],
)
def test_a_uri_with_a_secret_is_refused_and_the_secret_is_not_repeated(
    text: str, shown: str
) -> None:
    with pytest.raises(PoiseError) as refused:
        Location.of(text)
    message = str(refused.value)
    assert message.startswith(shown)
    assert "environment" in message
    assert "\n" not in message
    for secret in (SECRET, "KEY", "DEF", "abc"):
        assert secret not in message.replace("AWS_ACCESS_KEY_ID", "").replace("ACCESS_KEY", "")


@pytest.mark.parametrize(
    "key",
    ["data.dataset", "evaluation.queries", "evaluation.bank", "backbone.initial_weights"],
)
def test_a_recipe_with_a_secret_is_refused(key: str) -> None:
    with pytest.raises(PoiseError, match="AWS_SECRET_ACCESS_KEY") as refused:
        tiny_recipe(**{key.replace(".", "__"): f"s3://KEY:{SECRET}@bucket/photos"})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("s3:/bucket/a", "two slashes"),
        ("s3:///a", "names no bucket"),
        ("file://host/a", "file:///a"),
        ("s3://[x/a", "is no URI"),
        ("s3://bucket/a#b", "%23"),
        ("s3://bucket/a?colour=red", "'colour'"),
    ],
)
def test_a_uri_that_cannot_be_meant_is_refused(text: str, fix: str) -> None:
    with pytest.raises(PoiseError, match=fix):
        Location.of(text)


def test_a_scheme_without_a_library_is_named() -> None:
    with pytest.raises(PoiseError, match=r"nonsense://host: .*s3://"):
        Location.of("nonsense://host/a").files()


def test_a_command_that_needs_a_folder_of_this_machine_says_so() -> None:
    with pytest.raises(PoiseError, match="s3://bucket/a: must be on this machine"):
        Path(Location.of("s3://bucket/a"))


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("AWS Error NO_SUCH_BUCKET during ListObjectsV2 operation", "there is no bucket 'bucket'"),
        ("AWS Error ACCESS_DENIED during PutObject operation", "access is refused.*AWS_ACCESS_KEY"),
        ("AWS Error UNKNOWN (HTTP status 403) during HeadObject", "access is refused"),
        (
            "AWS Error NETWORK_CONNECTION during HeadObject: curlCode: 7",
            "does not answer.*ENDPOINT",
        ),
        ("AWS Error UNKNOWN (HTTP status 301) during HeadBucket", "AWS_REGION"),
        ("AWS Error SLOW_DOWN during\nGetObject", "SLOW_DOWN during GetObject"),
    ],
)
def test_an_error_of_a_storage_is_one_line_with_the_fix(said: str, fix: str) -> None:
    error = Storage("s3", "bucket").explained("a/b", OSError(said))
    assert str(error).startswith("s3://bucket/a/b: ")
    assert "\n" not in str(error)
    with pytest.raises(PoiseError, match=fix):
        raise error


def test_the_folder_of_runs_cannot_be_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POISE_HOME", f"s3://KEY:{SECRET}@bucket/runs")
    with pytest.raises(PoiseError, match="POISE_STORAGE") as refused:
        home()
    assert SECRET not in str(refused.value)


def test_a_run_remembers_the_storage_of_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = f"fsspec+memory://{uuid4().hex}/runs"
    monkeypatch.setenv("POISE_HOME", str(tmp_path))
    monkeypatch.setenv("POISE_STORAGE", storage)
    (tmp_path / "study" / "t01-s0").mkdir(parents=True)
    keep_storage(tmp_path / "study")
    monkeypatch.delenv("POISE_STORAGE")
    for name in ("study", "study/t01-s0", "study/t01-s0/change-1"):
        assert str(checkpoints_of(name)) == f"{storage}/{name}"
    assert checkpoints_of("other") == Location.of(tmp_path / "other")
    monkeypatch.setenv("POISE_STORAGE", storage)
    with pytest.raises(PoiseError, match="it has checkpoints of another 'study'"):
        keep_storage(tmp_path / "study")
    monkeypatch.setenv("POISE_STORAGE", f"s3://KEY:{SECRET}@bucket/runs")
    with pytest.raises(PoiseError, match="AWS_SECRET_ACCESS_KEY"):
        keep_storage(tmp_path / "study")
