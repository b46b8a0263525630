"""Takes the pictures of Poise's and MLflow's pages for the documentation, from the demo's results.

    make demo
    python -m pipelines.screenshots [NAME ...]

In: the newest study of the demo, and its datasets. Its second healthy trial is registered too, and
both models are evaluated. Out: PNG files in ``docs/screenshots``. It needs Chromium with
chromedriver.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from selenium.webdriver.common.by import By

from pipelines.headless_browser import (
    IS_THERE,
    Browser,
    headless_browser,
    show_page,
    take_picture,
)
from pipelines.mlflow_screenshots import MLFLOW_NAMES, mlflow_pictures
from poise.cli.main import exit_status, run
from poise.config.errors import PoiseError
from poise.config.locations import Location
from poise.config.paths import home
from poise.reports.served import report_server
from poise.runs.outcome import Finished
from poise.runs.registration import register_finished
from poise.studies.records import TrialRecord
from poise.studies.study import Study, stored_study
from poise.tracking.registry.version_search import list_versions
from poise.tracking.store import Store, open_store

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
NAMES = ("report", "compare", "map", "index", "model", *MLFLOW_NAMES)
TEST_SET = "data/scenes-test"
WIDTH = 1200
_COLORS = 96


def main() -> None:
    """Evaluates the models of the demo, and takes the wanted pictures: by default every one."""
    if not IS_THERE:
        raise PoiseError("no chromium with chromedriver on the PATH; install both")
    wanted = set(sys.argv[1:] or NAMES)
    if unknown := wanted - set(NAMES):
        raise PoiseError(f"{unknown.pop()}: no such picture; there are {', '.join(NAMES)}")
    study = newest_demo()
    models = registered_models(study)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        evaluate(models, folder, wanted)
        with headless_browser(folder / "profile") as browser:
            if "report" in wanted:
                _report(browser, study.folder / "report.html")
            if "compare" in wanted:
                _compare(browser, folder / "compare.html")
            if "map" in wanted:
                (map_page,) = (folder / "map").rglob("*.html")
                _map(browser, map_page)
            if {"index", "model"} & wanted:
                with _served_reports() as base:
                    _served(browser, base, models[0], wanted)
            for name, picture in mlflow_pictures(browser, open_store(), models[0], wanted):
                _save(name, picture)


def newest_demo() -> Study:
    """Returns the newest study of the demo that has a report.

    Raises:
        PoiseError: there is none.
    """
    reports = sorted(home().glob("demo-*/report.html"), key=lambda path: path.stat().st_mtime)
    if not reports:
        raise PoiseError(f"{home()}: has no study of the demo; run `make demo` first")
    return stored_study(reports[-1].parent.name, "screenshots")


def registered_models(study: Study) -> list[str]:
    """Returns the models of the demo's two best healthy trials. A study registers only the best.

    Raises:
        PoiseError: the study has only one healthy trial.
    """
    store = open_store()
    healthy = [record for record in study.records() if record.outcome == "healthy"]
    healthy.sort(key=lambda record: record.metrics["eval/knn_top1"], reverse=True)
    if len(healthy) < 2:
        raise PoiseError(f"{study.name}: two healthy trials are compared; it has {len(healthy)}")
    known = {version.run_id: version.uri for version in list_versions(store)}
    return [
        known.get(record.run_id or "") or _register(store, study, record) for record in healthy[:2]
    ]


def _register(store: Store, study: Study, record: TrialRecord) -> str:
    assert record.run_id and record.checkpoint and record.verdict
    history = [(record.step, record.metrics)]
    finished = Finished(record.run_id, Location.of(record.checkpoint), record.verdict, history)
    return register_finished(store, record.current.recipe(study.recipe, study.name), finished)


def evaluate(models: list[str], folder: Path, wanted: set[str]) -> None:
    """Measures what the wanted pages show: k-NN and attention of both models, a map of one."""
    if "compare" in wanted:
        for model in models:
            _poise("evaluate", "knn", model, TEST_SET, "--k", "20", "--no-ray")
        _poise("evaluate", "attention", *models, TEST_SET, "--out", str(folder / "attention"))
        _poise("models", "compare", *models, "--out", str(folder / "compare.html"))
    if "map" in wanted:
        words = ("--max-images", "600", "--no-ray", "--out", str(folder / "map"))
        _poise("evaluate", "map", models[0], TEST_SET, *words)


def _poise(*words: str) -> None:
    print(f"poise {' '.join(words)}", flush=True)
    status = run([*words, "--quiet"])
    if status:
        raise SystemExit(status)


def _report(browser: Browser, page: Path) -> None:
    """Takes the answer and the phase diagram."""
    show_page(browser, page.as_uri(), (WIDTH, 900))
    _save("report", take_picture(browser, _bottom(browser, "#figure-phase")))


def _compare(browser: Browser, page: Path) -> None:
    """Takes what differs, the figures, and the first pictures side by side."""
    show_page(browser, page.as_uri(), (WIDTH, 900))
    _save("compare", take_picture(browser, 1700, _top(browser, "#settings") - 40))


def _map(browser: Browser, page: Path) -> None:
    show_page(browser, page.as_uri(), (WIDTH, 900))
    _save("map", take_picture(browser, _bottom(browser, ".map")))


def _served(browser: Browser, base: str, model: str, wanted: set[str]) -> None:
    """Takes pages of `poise ui --report`: the index, and the top of a model's page."""
    if "index" in wanted:
        show_page(browser, base, (WIDTH, 600))
        _save("index", take_picture(browser, _bottom(browser, "main")))
    if "model" in wanted:
        show_page(browser, f"{base}models/{model.removeprefix('models:/')}", (WIDTH, 900))
        _save("model", take_picture(browser, min(_bottom(browser, "main"), 1700)))


def _top(browser: Browser, selector: str) -> int:
    """Returns the distance of an element's upper edge from the top of the page."""
    element = browser.find_element(By.CSS_SELECTOR, selector)
    script = "return arguments[0].getBoundingClientRect().top + scrollY"
    return int(browser.execute_script(script, element))


def _bottom(browser: Browser, selector: str) -> int:
    """Returns the distance of an element's lower edge from the top of the page, and a margin."""
    element = browser.find_element(By.CSS_SELECTOR, selector)
    edge = browser.execute_script(
        "return arguments[0].getBoundingClientRect().bottom + scrollY", element
    )
    return int(edge) + 24


def _save(name: str, picture: bytes) -> None:
    """Writes a picture with few colours: pages have few, and the file is a third as large."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{name}.png"
    small = Image.open(BytesIO(picture)).convert("RGB").quantize(_COLORS)
    small.save(path, optimize=True)
    print(
        f"{path}: {small.width} × {small.height}, {path.stat().st_size / 1000:.0f} kB", flush=True
    )


@contextmanager
def _served_reports() -> Iterator[str]:
    with report_server(open_store(), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    sys.exit(exit_status(main))
