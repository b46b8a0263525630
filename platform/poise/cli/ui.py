"""`poise ui`: opens MLflow's pages, or the pages of studies and models, in a browser.

In: an experiment and a port. Out: a server on this machine, until Ctrl-C. Next: a browser.
"""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.streams import say
from poise.config.errors import PoiseError

if TYPE_CHECKING:
    from poise.tracking.store import Store

_MLFLOW_PORT, _REPORT_PORT = 5000, 5001


def command(
    experiment: Annotated[
        str | None,
        typer.Argument(help="Experiment to open. Default: the one with the newest run."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Show the reports of studies and the models instead.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port. Default: 5000, or 5001 with --report."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Show an experiment in MLflow's web pages. Ctrl-C ends it.

    The server listens on this machine only. If MLFLOW_TRACKING_URI is the address of an MLflow
    server, the browser opens that server instead. With --report, the server shows the reports of
    all studies, a page for each version of a model, and an index of these pages.

    Example: poise ui scenes-train --port 5100

    Example: poise ui --report
    """
    from poise.tracking.store import open_store

    if report and experiment is not None:
        raise PoiseError(f"--report shows all studies and models; leave {experiment} out")
    store = open_store()
    if report:
        _serve_reports(store, port or _REPORT_PORT, browser)
    else:
        _serve_mlflow(store, experiment, port or _MLFLOW_PORT, browser)


def _serve_mlflow(store: Store, name: str | None, port: int, browser: bool) -> None:
    from threading import Event

    from poise.tracking.signals import raising
    from poise.tracking.ui import find_experiment, link_to, mlflow_server, prepare_view

    experiment = find_experiment(store, name)
    prepare_view(store, experiment)
    if store.is_server:
        _open(link_to(store.uri, experiment), browser)
        return
    check_free(port)
    with raising(), mlflow_server(store, port) as base:  # else the server outlives the terminal
        _open(link_to(base, experiment), browser)
        say("Ctrl-C ends it")
        Event().wait()


def _serve_reports(store: Store, port: int, browser: bool) -> None:
    from poise.reports.served import report_server

    with report_server(store, port) as server:
        _open(f"http://127.0.0.1:{port}/", browser)
        say("Ctrl-C ends it")
        server.serve_forever()


def check_free(port: int) -> None:
    """Raises an error if another program uses a port of this machine.

    Raises:
        PoiseError: the port is in use. The message names the option to change.
    """
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise PoiseError(
                f"--port {port}: another program uses it; choose another, such as {port + 10}"
            ) from None


def _open(url: str, browser: bool) -> None:
    from poise.config.redaction import without_user

    print(without_user(url), flush=True)
    if browser:
        webbrowser.open(url)
