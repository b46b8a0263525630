import os
import sqlite3
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.config.paths import given_path, home
from poise.config.redaction import redacted
from poise.tracking.address import read_address, safe_line, sqlite_file
from poise.tracking.run import create_run, log_json
from poise.tracking.store import open_store

ODD_NAMES = (
    "what?",
    "a%20b",
    "100%25",
    "100%",
    "number #1",
    "two words",
    "größe ü",
    "a&b=c;d",
    "~x",
)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_address_leads_to_its_file_whatever_characters_the_path_has(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / name))
    address = read_address(None)
    assert sqlite_file(address.uri) == tmp_path / name / "mlflow.db"
    assert read_address(address.uri) == address, "it may be handed on in the variable"


@pytest.mark.slow
def test_a_run_in_a_folder_of_odd_characters_has_its_database_and_its_files_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "is it 100%25? größe #1 & a%20b"
    monkeypatch.setenv("POISE_HOME", str(folder))
    run = create_run(open_store(), "scenes", "dino-tiny", folder / "dino-tiny")
    log_json(run, {"verdict": "healthy"}, "verdict.json")
    with sqlite3.connect(folder / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert [path.name for path in (folder / "artifacts").rglob("*.json")] == ["verdict.json"]
    assert list(tmp_path.iterdir()) == [folder], "nothing is made under a quoted or a cut name"


def test_a_quoted_tilde_is_the_home_folder_wherever_a_path_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("POISE_HOME", "~/runs")
    assert home() == tmp_path / "runs"
    assert given_path("~/photos") == tmp_path / "photos"
    assert sqlite_file(read_address("sqlite:///~/mlflow.db").uri) == tmp_path / "mlflow.db"
    monkeypatch.setenv("POISE_HOME", "~nobody-of-that-name/runs")
    with pytest.raises(PoiseError, match=r"POISE_HOME=~nobody.*: there is no home folder"):
        home()


def test_a_relative_file_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sqlite_file(read_address("sqlite:///mlflow.db").uri) == tmp_path / "mlflow.db"


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("  http://mlflow:5000/  ", "http://mlflow:5000"),
        ("HTTP://mlflow:5000", "http://mlflow:5000"),
        ("Https://mlflow.example.org/team/", "https://mlflow.example.org/team"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("SQLite:////data/mlflow.db\n", "sqlite:////data/mlflow.db"),
        ("sqlite+pysqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("PostgreSQL+psycopg://me@db/runs", "postgresql+psycopg://me@db/runs"),
    ],
)
def test_blanks_and_capitals_do_not_change_what_an_address_means(written: str, uri: str) -> None:
    assert read_address(written).uri == uri


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("localhost:5000", "has no scheme; did you mean http://localhost:5000?"),
        ("localhost", "has no scheme; did you mean http://localhost?"),
        ("127.0.0.1:5000", "did you mean http://127.0.0.1:5000?"),
        ("//mlflow:5000", "did you mean http://mlflow:5000?"),
        ("mlflow.example.org", "did you mean http://mlflow.example.org?"),
        ("http:mlflow:5000", "wrong number of slashes; did you mean http://mlflow:5000?"),
        ("http:/mlflow:5000", "did you mean http://mlflow:5000?"),
        ("http:///mlflow:5000", "did you mean http://mlflow:5000?"),
        ("http://", "names no server"),
        ("http://mlflow:50x0", "is not the address of a server"),
        ("http://mlflow:70000", "is not the address of a server"),
        ("http://[::1:5000", "is not the address of a server"),
        ("http://mlflow:5000/#/experiments/3", "a page; did you mean http://mlflow:5000?"),
        ("htp://mlflow:5000", "MLflow knows no 'htp://'"),
        ("s3://bucket/runs", "MLflow knows no 's3://'"),
        ("databricks://me", "MLflow knows no 'databricks://'"),
        ("sqlite:/data/mlflow.db", "slashes; did you mean sqlite:////data/mlflow.db?"),
        ("sqlite:mlflow.db", "slashes; did you mean sqlite:///mlflow.db?"),
        ("sqlite://data/m.db", "sqlite:////data/m.db or, in the current folder, sqlite:///data/m"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////tmp", "is a folder; did you mean sqlite:////tmp/mlflow.db?"),
        ("sqlite:////data/what?/mlflow.db", "in a file name write %3F"),
        ("/data/mlflow.db", "did you mean sqlite:////data/mlflow.db?"),
        ("file:/data/mlflow.db", "did you mean sqlite:////data/mlflow.db?"),
        ("./mlruns", "does not store runs in plain folders"),
        ("file:///data/mlruns", "does not store runs in plain folders"),
        ("postgres://db/runs", "did you mean postgresql://db/runs?"),
        ("postgresql:///runs", "names no host"),
        ("postgresql://db", "names no database"),
        ("postgresql://db:port/runs", "is not the address of a database"),
        ("mysql", "is not the address of a database"),
        ('"http://mlflow:5000"', "more than the address; did you mean http://mlflow:5000?"),
        ("MLFLOW_TRACKING_URI=http://mlflow:5000", "did you mean http://mlflow:5000?"),
        ("http//mlflow:5000", "has no colon; did you mean http://mlflow:5000?"),
        ("http:\\\\mlflow:5000", "did you mean http://mlflow:5000?"),
        ("http://a:5000 http://b:5000", "has a blank inside"),
        ("sqlite3:////data/m.db", "did you mean sqlite:////data/m.db?"),
        ("databricks-uc", "does not keep runs in Databricks"),
        ("sqlite:////tmp/a%00b.db", "has a %00"),
        ("~nobody-of-that-name/mlflow.db", "no home folder for '~nobody-of-that-name'"),
    ],
)
def test_an_address_that_mlflow_cannot_use_is_one_line_with_the_right_form(
    written: str, advice: str
) -> None:
    with pytest.raises(PoiseError) as raised:
        read_address(written)
    message = str(raised.value)
    assert message.startswith(f"MLFLOW_TRACKING_URI={written}: ") and advice in message
    assert "\n" not in message


def test_messages_hide_passwords() -> None:
    for text in (
        "postgresql://poise:secret@db/mlflow",
        "https://poise:secret@tracking.example:5000",
        "postgresql://poise:sec/ret@secret@db:none/mlflow",
        "API request to https://poise:secret@host/api failed",
    ):
        assert "secret" not in redacted(text)
    with pytest.raises(PoiseError) as raised:
        read_address("postgres://poise:secret@db/mlflow")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "written",
    [
        "user:secret@host:5000",
        "//user:secret@host",
        "http:user:secret@host:5000",
        "http:/user:secret@host:5000",
        "http:///user:secret@host:5000/#/x",
        "mysql:user:secret@host/runs",
        "http://host:5000/?token=secret",
        "postgresql://host?password=secret",
        "postgres://me@host/runs?sslpassword=secret",
        "secret@host:5000",
        "secret@host/mlflow.db",
        "//secret@host:5000",
        "http:secret@host:5000",
        "http//secret@host:5000",
        "http:\\\\secret@host:5000",
        "'http://secret@host:5000'",
        "MLFLOW_TRACKING_URI=http://secret@host:5000",
        "http://secret@host:5000/#/x",
        "http://secret@host:port",
        "http://secret@host 2",
        "http://secret@host\0",
        "s3://secret@bucket/runs",
        "postgres://secret@host/runs",
        "postgresql://secret@host",
        "databricks://secret@host",
    ],
)
def test_a_password_or_a_token_is_hidden_in_a_wrong_address_too(written: str) -> None:
    # Only `scheme://user:password@` was recognised, so a missing slash showed the password.
    with pytest.raises(PoiseError) as raised:
        read_address(written)
    assert "secret" not in str(raised.value) and "***" in str(raised.value)


@pytest.mark.parametrize(
    "said",
    [
        'connection failed: FATAL:  password authentication failed for user "secret"',
        'FATAL:  role "secret" does not exist',
        "(1045, \"Access denied for user 'secret'@'10.0.0.4' (using password: YES)\")",
        "API request to http://secret@host:5000/api/2.0/mlflow failed",
    ],
)
def test_what_a_store_says_is_shown_without_the_name_of_the_user(said: str) -> None:
    assert "secret" not in safe_line(ValueError(said))
    assert "***" in safe_line(ValueError(said))


def test_a_database_is_reached_with_its_user_although_messages_hide_the_user() -> None:
    assert read_address("postgresql://me@db/runs").uri == "postgresql://me@db/runs"
    assert read_address("http://token@host:5000").uri == "http://token@host:5000"


def test_an_address_that_is_no_text_or_too_long_is_one_line() -> None:
    for written, why in (
        ("http://host\0:5000", r"http://host\\x00:5000: has the character '\\x00' inside"),
        ("sqlite:////tmp/\udcff", "is not UTF-8"),
        (f"sqlite:////tmp/{'a' * 300}", "File name too long"),
    ):
        with pytest.raises(PoiseError, match=why) as raised:
            read_address(written)
        str(raised.value).encode()


def test_without_a_current_folder_an_absolute_home_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Path.cwd()
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    try:
        (tmp_path / "gone").rmdir()
        monkeypatch.setenv("POISE_HOME", str(tmp_path / "runs"))
        assert home() == tmp_path / "runs"
        monkeypatch.setenv("POISE_HOME", "runs")
        with pytest.raises(PoiseError, match="the current folder was deleted"):
            home()
    finally:
        os.chdir(before)
