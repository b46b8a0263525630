"""The pages of `poise ui --report` in a browser: from the index to a model's page."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.by import By

from pipelines.headless_browser import Browser, wait_for_text
from poise.reports.served import report_server
from poise.tracking.registry.version import RegisteredFigure, stored_tags
from poise.tracking.run import create_run, log_files
from poise.tracking.store import open_store
from tests.integration.test_report_page import browser, pytestmark

__all__ = ["browser", "pytestmark"]  # a fixture, and the marks of tests that need a browser


@pytest.fixture
def index(poise_home: Path, tmp_path: Path) -> Iterator[str]:
    """Address of a server with one model, whose run has a picture."""
    store = open_store()
    run = create_run(store, "scenes", "dino-tiny", tmp_path / "run")
    Image.fromarray(np.zeros((20, 60, 3), np.uint8)).save(tmp_path / "attention.png")
    log_files(run, [tmp_path / "attention.png"], "pictures")
    figures = {"eval/knn_top1": RegisteredFigure(61.2, "%", 58.0, 64.0, "knn/dino-v1", "test")}
    facts = {"objective": "dino", "verdict": "healthy", "metric": "eval/knn_top1"}
    store.client.create_registered_model("scenes vit")
    store.client.create_model_version(
        "scenes vit", "/nowhere", run.run_id, tags=stored_tags(facts, figures),
        await_creation_for=0,
    )  # fmt: skip
    with report_server(store, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_a_click_on_the_index_opens_a_models_page_with_its_figures_and_pictures(
    browser: Browser, index: str
) -> None:
    browser.get(index)
    wait_for_text(browser, "Studies and models", "61.2 %", "58.0 to 64.0", "healthy")
    browser.find_element(By.LINK_TEXT, "scenes vit/1").click()
    wait_for_text(browser, "What they are", "61.2 %", "knn/dino-v1", "pictures/attention.png")
    assert browser.current_url == f"{index}models/scenes%20vit/1"
    (picture,) = browser.find_elements(By.TAG_NAME, "img")
    assert picture.get_property("naturalWidth") == 60
