"""Serves the pages of studies and models on the loopback address, read only.

In: a store and a port. Out: pages over HTTP: an index, reports of studies, and pages of models.
Next: a browser.

The server finds a page by its name among the known studies and models. No part of a request is used
as the path of a file.
"""

import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from poise.config.errors import PoiseError
from poise.reports.models import read_content, render_page
from poise.reports.page.templates import asset, environment
from poise.reports.served.content import newest_versions, study_links, study_reports
from poise.tracking.registry.comparison import compare_versions
from poise.tracking.registry.version_lookup import UnknownVersionError, find_model
from poise.tracking.store import Store

HOST = "127.0.0.1"


def report_server(store: Store, port: int) -> ThreadingHTTPServer:
    """Makes the server. ``serve_forever`` runs it. It answers only GET and HEAD requests.

    Args:
        store: store with the registry.
        port: port to listen on. 0 chooses a free port.

    Raises:
        PoiseError: the port is in use.
    """
    try:
        server = ThreadingHTTPServer((HOST, port), partial(_Handler, store))
    except (OSError, OverflowError) as error:
        raise PoiseError(f"--port {port}: {error}; choose another port") from None
    server.daemon_threads = True
    return server


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "Poise", ""

    def __init__(self, store: Store, *arguments: Any) -> None:
        self._store = store
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Sends a page."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Sends only the headers of a page."""
        self._answer(with_body=False)

    def log_message(self, *_: Any) -> None:
        """Prints nothing for a request."""

    def _answer(self, with_body: bool) -> None:
        status, body = self._page()
        content = body.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def _page(self) -> tuple[HTTPStatus, str]:
        if not self._is_for_us():
            return HTTPStatus.FORBIDDEN, _error("This server answers only on this machine.")
        try:
            parts = [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]
            for pattern, page in _ROUTES:
                if len(parts) == len(pattern) and all(map(re.fullmatch, pattern, parts)):
                    return HTTPStatus.OK, page(self._store, *parts[1:])
        except (UnknownVersionError, LookupError, ValueError) as error:
            return HTTPStatus.NOT_FOUND, _error(str(error))
        except (PoiseError, OSError) as error:  # the store or the disk does not answer
            return HTTPStatus.SERVICE_UNAVAILABLE, _error(str(error))
        return HTTPStatus.NOT_FOUND, _error("There is no such page.")

    def _is_for_us(self) -> bool:
        """Returns True if the request names this server as its host.

        A hostile web page could use DNS to send requests with another host name (DNS rebinding).
        """
        server: ThreadingHTTPServer = self.server  # type: ignore[assignment]
        port = server.server_port
        return self.headers.get("Host") in (f"{HOST}:{port}", f"localhost:{port}")


def _index(store: Store, *_: str) -> str:
    found = newest_versions(store)
    return _render("index.html", studies=study_links(), versions=found.versions, total=found.total)


def _study(store: Store, name: str) -> str:
    reports = study_reports()
    if name not in reports:
        raise LookupError(f"There is no report of a study {name}.")
    return reports[name].read_text(encoding="utf-8")


def _model(store: Store, name: str, number: str) -> str:
    version = find_model(store, f"{name}/{number}")
    return render_page(read_content(store, compare_versions(store, [version])))


_ROUTES: tuple[tuple[tuple[str, ...], Callable[..., str]], ...] = (
    (("",), _index),
    (("studies", r"[^/]+"), _study),
    (("models", r"[^/@:']+", r"\d{1,9}"), _model),
)
"""Patterns for the parts of a path, each with the function that makes the page."""


def _error(text: str) -> str:
    return _render("message.html", text=text)


def _render(template: str, **values: Any) -> str:
    return environment().get_template(template).render(
        **values, style=asset("page.css"), scripts=[]
    )  # fmt: skip
