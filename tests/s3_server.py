"""A real S3 server on loopback, which counts what it is asked for.

``python -m tests.s3_server PORT BUCKET`` serves an empty bucket until it is ended.
"""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

KEY_ID, SECRET = "AKIAPLANTEDKEYID", "planted-secret-never-to-be-seen"


@dataclass
class S3Server:
    """The server's address, and its requests since ``forget``."""

    endpoint: str
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path, and bytes of the answer."""

    def make_bucket(self, name: str) -> str:
        """Makes a bucket, and returns its URI."""
        with urlopen(Request(f"{self.endpoint}/{name}", method="PUT")):
            return f"s3://{name}"

    def require_credentials(self, actions_before: int = 0) -> None:
        """Refuses requests with unknown keys from now on, as Amazon does."""
        self._post("/moto-api/reset-auth", str(actions_before).encode())

    def forget(self) -> None:
        """Forgets the requests so far."""
        self.requests.clear()

    def bytes_read(self, ending: str = "") -> int:
        """Bytes of the answers to GET requests for keys with this ending."""
        return sum(
            n for method, path, n in self.requests if method == "GET" and path.endswith(ending)
        )

    def _post(self, path: str, body: bytes) -> None:
        headers = {"Content-Type": "text/plain"}
        with urlopen(Request(f"{self.endpoint}{path}", body, headers, method="POST")):
            pass


@contextmanager
def s3_server(port: int = 0) -> Iterator[S3Server]:
    """Serves S3 from memory on a port of loopback. By default, it is a free one."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    found = S3Server("")
    application = _counting(DomainDispatcherApplication(create_backend_app), found.requests)
    server = make_server("127.0.0.1", port, application, threaded=True)
    found.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def environment(server: S3Server) -> dict[str, str]:
    """Variables with which a process uses the server."""
    return {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def _counting(application: Application, requests: list[tuple[str, str, int]]) -> Application:
    def counted(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            sizes = [int(value) for name, value in headers if name.lower() == "content-length"]
            method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            requests.append((method, path, sum(sizes)))
            return start_response(status, headers, *more)

        return application(environ, start)

    return counted


if __name__ == "__main__":
    with s3_server(int(sys.argv[1])) as running:
        running.make_bucket(sys.argv[2])
        signal.pause()
