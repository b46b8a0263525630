"""A server that is secured, or is something else, answered for by a small proxy of this file."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from poise.config import PoiseError
from poise.tracking import server
from poise.tracking.server import check_answers
from poise.tracking.store import open_store

Answer = Callable[[BaseHTTPRequestHandler], tuple[int, str]]
Serve = Callable[..., AbstractContextManager[str]]
EMPTY = json.dumps({"experiments": []})


@contextmanager
def serving(answer: Answer, certificate: Path | None = None, asks: bool = False) -> Iterator[str]:
    """A proxy on a free port; ``asks`` for a certificate of the client, too."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    class Proxy(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that leaves during the handshake is what these tests look for."""

    proxy = Proxy(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if asks:
            context.load_verify_locations(certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
    often = {"poll_interval": 0.01}  # shutdown() waits until the server looks
    threading.Thread(target=proxy.serve_forever, kwargs=often, daemon=True).start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{proxy.server_address[1]}"
    finally:
        proxy.shutdown()
        proxy.server_close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1)).add_extension(host, critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "certificate.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(pem, form, plain) + signed.public_bytes(pem))
    return path


def refusal(uri: str) -> str:
    with pytest.raises(PoiseError) as raised:
        check_answers(uri)
    assert "\n" not in str(raised.value) and uri in str(raised.value)
    return str(raised.value)


def open_to_all(_: BaseHTTPRequestHandler) -> tuple[int, str]:
    return 200, EMPTY


def only(expected: str) -> Answer:
    """Answers those who bring this authorization."""
    return lambda call: (
        (200, EMPTY) if call.headers.get("Authorization") == expected else (401, "who are you?")
    )


def test_the_name_and_password_that_mlflow_uses_open_a_secured_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(only("Basic bWU6c2VjcmV0")) as uri:
        assert "asks who you are: set MLFLOW_TRACKING_USERNAME and" in refusal(uri)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
        assert "refuses the name and password" in refusal(uri)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
        assert open_store(uri).is_server


def test_a_token_opens_a_server_that_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abc")
    with serving(only("Bearer abc")) as uri:
        check_answers(uri)


def test_a_certificate_of_ones_own_is_trusted_by_mlflows_variables(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(open_to_all, certificate) as uri:
        message = refusal(uri)
        assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in message and "INSECURE_TLS" in message
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
            check_answers(uri)
            patch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/nowhere.pem")
            assert "/nowhere.pem" in refusal(uri)
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
            with pytest.warns(Warning, match="Unverified HTTPS request"):
                check_answers(uri)


def test_a_server_that_asks_for_the_clients_certificate_gets_it(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    with serving(open_to_all, certificate, asks=True) as uri:
        assert "MLFLOW_TRACKING_CLIENT_CERT_PATH" in refusal(uri)
        monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(certificate))
        check_answers(uri)


def test_https_to_a_server_that_speaks_http_is_named() -> None:
    with serving(open_to_all) as uri:
        assert f"did you mean {uri}?" in refusal(uri.replace("http://", "https://"))


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (403, "", "--allowed-hosts"),
        (404, "", "is no MLflow server"),
        (200, "<html>log in</html>", "is no MLflow server"),
        (200, "[]", "is no MLflow server"),
        (200, '{"error": "log in"}', "is no MLflow server"),
        (200, "[" * 100_000, "is no MLflow server"),
        (500, "", "its own log says why"),
        (503, "", "its own log says why"),
    ],
)
def test_an_answer_that_is_not_mlflows_is_one_line(status: int, body: str, advice: str) -> None:
    with serving(lambda _: (status, body)) as uri:
        assert advice in refusal(uri)


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("MLFLOW_TRACKING_TOKEN", "→", "has a character that no header may have"),
        ("MLFLOW_TRACKING_TOKEN", "a\nb", "has a character that no header may have"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon", "soon"),
        ("MLFLOW_TRACKING_INSECURE_TLS", "maybe", "maybe"),
        ("MLFLOW_TRACKING_AWS_SIGV4", "true", "No module named"),
    ],
)
def test_a_wrong_value_of_a_variable_of_mlflow_is_one_line_before_any_run(
    variable: str, value: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A token with an arrow was a traceback. The time was read at the first metric.
    monkeypatch.setenv(variable, value)
    with serving(open_to_all) as uri:
        message = refusal(uri)
    assert advice in message and (variable in message or "SIGV4" in variable)


def test_a_server_that_accepts_and_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "ANSWER_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "no MLflow server answers there within" in refusal(uri)
