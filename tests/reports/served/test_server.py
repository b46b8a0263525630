import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from poise.config import PoiseError
from poise.reports.served import report_server
from poise.tracking.registry import lineage
from poise.tracking.store import open_store
from tests.tracking.registry.test_version_search import add

pytestmark = pytest.mark.slow

PAGE = "<!doctype html><p>the report of a study"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[int]:
    """The port of a running server, with one study and one registered model."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(migrated_file, home)
    (home / "my study").mkdir()
    (home / "my study" / "report.html").write_text(PAGE, encoding="utf-8")
    (home / "secret.html").write_text("TOP SECRET", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POISE_HOME", str(home))
        store = open_store()
        add(store, "a b<c>", 61.25, verdict="healthy", dataset="<script>alert(1)</script>")
        with report_server(store, 0) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield server.server_address[1]
            server.shutdown()
            thread.join()


def ask(port: int, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{port}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")


def test_the_index_leads_to_the_reports_of_studies_and_the_pages_of_models(port: int) -> None:
    status, index = ask(port, "/")
    assert status == 200
    assert 'href="/studies/my%20study"' in index and 'href="/models/a%20b%3Cc%3E/1"' in index
    assert ask(port, "/studies/my%20study") == (200, PAGE)
    status, page = ask(port, "/models/a%20b%3Cc%3E/1")
    assert status == 200
    assert "61.2 %" in page
    for text in (index, page):
        assert "<script>alert" not in text and "default-src 'none'" in text


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.html", "/studies/..%2fsecret.html", "/studies/../../etc/passwd", "/secret.html",
        "/studies/%2e%2e", "/studies/my%20study/report.html", "/studies/", "/studies/my%00study",
        "/models/a/1", "/models/..%2f/1", "/models/a%20b%3Cc%3E/99", "/models/a%20b%3Cc%3E/1/",
        "/models/a%20b%3Cc%3E/x", "//etc/passwd", "/%", "//[x", "/models/'%20or%201=1/1",
        "/models/a%20b%3Cc%3E/999999999999999999999", "/models/%F0%9F%92%A9/1",
    ],
)  # fmt: skip
def test_nothing_else_is_served(port: int, path: str) -> None:
    status, text = ask(port, path)
    assert status == 404
    assert "TOP SECRET" not in text and "root:x:0" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_can_only_be_read(port: int, method: str) -> None:
    assert ask(port, "/", method)[0] == 501
    assert ask(port, "/", "HEAD") == (200, "")


@pytest.mark.parametrize("host", ["evil.com", "10.0.0.1", "localhost", "127.0.0.1:1", ""])
def test_a_hostile_page_cannot_read_it_through_another_name(port: int, host: str) -> None:
    status, text = ask(port, "/", host=host or " ")
    assert status == 403
    assert "my study" not in text


def test_a_taken_port_is_named_with_the_option(poise_home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(PoiseError, match=f"--port {taken}: .*choose another port"):
            report_server(open_store(), taken)


def test_a_store_that_fails_while_a_page_is_made_is_one_sentence(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise MlflowException("the database is locked")

    monkeypatch.setattr(lineage, "_run", fails)
    status, text = ask(port, "/models/a%20b%3Cc%3E/1")
    assert status == 503 and "the database is locked" in text
