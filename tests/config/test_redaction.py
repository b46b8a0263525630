"""Addresses are shown without the one who connects."""

import pytest

from poise.config.redaction import redacted, redacted_address, without_user

TOKEN = "a1b2c3"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://{TOKEN}@host:5000/a", "http://***@host:5000/a"),
        (f"http://{TOKEN}:@host", "http://***@host"),
        (f"http://{TOKEN}:x-oauth-basic@host", "http://***@host"),
        (f"http://me@example.org:{TOKEN}@host", "http://***@host"),
        (f"http://{TOKEN}%40x@host", "http://***@host"),
        (f"postgresql+psycopg://{TOKEN}@db/runs", "postgresql+psycopg://***@db/runs"),
        (f"s3://{TOKEN}@bucket/runs", "s3://***@bucket/runs"),
        (f"ray://{TOKEN}@head:10001", "ray://***@head:10001"),
        (f"https://u:{TOKEN}/{TOKEN}@host/a", "https://***@host/a"),
        (f"GET http://{TOKEN}@a/x, ftp://{TOKEN}@b", "GET http://***@a/x, ftp://***@b"),
        (f"http://host/?api_key={TOKEN}&x=1", "http://host/?api_key=***&x=1"),
    ],
)
def test_a_token_that_is_given_as_the_name_of_a_user_is_hidden(text: str, shown: str) -> None:
    # Only `USER:PASSWORD@` was recognised, so a token alone was shown.
    assert redacted(text) == shown
    assert redacted_address(text) == shown or " " in text


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/experiments/1",
        "s3://bucket/me@home/x:y",
        "models:/scenes-dino@best",
        "sqlite:////data/a@b/mlflow.db",
        "sqlite:///a@b.db",
        "file:///a@b/c",
        "/data/a@b.db",
        "./a@b.db",
        "abfss://container@account.dfs.core.windows.net/a",
        "gs://anonymous@bucket/a",
        "use postgresql://USER:PASSWORD@HOST/NAME",
        "write to me@example.org",
    ],
)
def test_an_at_sign_that_ends_no_user_changes_nothing(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("text", ["sqlite:///a@b.db", "file:///a@b/c", "/data/a@b.db", "./a@b.db"])
def test_a_path_keeps_its_at_sign(text: str) -> None:
    assert redacted_address(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{TOKEN}@host:5000", "***@host:5000"),
        (f"//{TOKEN}@host", "//***@host"),
        (f"http:{TOKEN}@host", "http:***@host"),
        (f"http:/{TOKEN}@host", "http:/***@host"),
        (f"http//{TOKEN}@host", "http//***@host"),
        (f"http:\\\\{TOKEN}@host", "http:\\\\***@host"),
        (f"postgresql:{TOKEN}@host/runs", "postgresql:***@host/runs"),
        (f"user:{TOKEN}@host:5000", "***@host:5000"),
        (f"s3:/{TOKEN}@bucket/a", "s3:/***@bucket/a"),
    ],
)
def test_a_user_is_hidden_in_an_address_that_is_written_wrongly_too(text: str, shown: str) -> None:
    assert redacted_address(text) == shown


def test_a_link_for_a_browser_has_no_user() -> None:
    assert without_user(f"https://{TOKEN}@host:5000/a@b") == "https://host:5000/a@b"
    assert without_user(f"{TOKEN}@host") == "host"
    assert without_user("http://host") == "http://host"
