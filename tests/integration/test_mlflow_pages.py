"""MLflow's own pages in a browser, on a store of many runs and versions."""

import socket
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from mlflow import entities
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from pipelines.headless_browser import PATIENCE_S, Browser, wait_for_text
from pipelines.mlflow_screenshots import MLFLOW_NAMES, mlflow_pictures
from poise.tracking.registry.description import describe
from poise.tracking.registry.version import RegisteredFigure, stored_tags
from poise.tracking.run import Run, create_study_run, create_trial_run, log_files, set_tags
from poise.tracking.store import Store, open_store
from poise.tracking.ui import find_experiment, link_to, mlflow_server, prepare_view
from tests.integration.test_report_page import browser, pytestmark

__all__ = ["browser", "pytestmark"]  # a fixture, and the marks of tests that need a browser

RUNS, VERSIONS = 300, 50
NAMED = "attributes.run_name = 'collapse'"


@pytest.fixture(scope="module")
def pages(
    migrated_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Store, str, str]]:
    """A store of 300 runs and 50 versions, the link of `poise ui`, and the server's address."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "mlflow.db").write_bytes(migrated_file.read_bytes())
    store = open_store(f"sqlite:///{folder / 'mlflow.db'}")
    study = create_study_run(store, "scenes", "collapse", folder / "study")
    trial = create_trial_run(study, "t000-s0", folder / "study" / "t000-s0")
    fill(store, trial, study.run_id, folder)
    experiment = find_experiment(store, "scenes")
    prepare_view(store, experiment)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with mlflow_server(store, port) as base:
        yield store, link_to(base, experiment), base


def fill(store: Store, trial: Run, study_id: str, folder: Path) -> None:
    """Adds runs with a metric and a verdict, and versions of the first trial with a picture."""
    client = store.client
    for number in range(1, RUNS - 1):
        tags = {"mlflow.parentRunId": study_id, "poise.verdict": "healthy"}
        made = client.create_run(trial.experiment_id, run_name=f"t{number:03d}-s0", tags=tags)
        client.log_metric(made.info.run_id, "eval/knn_top1", number / 10)
    client.log_metric(trial.run_id, "eval/knn_top1", 99.5)
    set_tags(trial, {"poise.verdict": "healthy", "poise.verdict_evidence": "RankMe is 63"})
    picture = folder / "attention.png"
    Image.fromarray(np.zeros((20, 60, 3), np.uint8)).save(picture)
    log_files(trial, [picture], "pictures")
    client.create_registered_model("scenes-vit")
    figures = {"eval/knn_top1": RegisteredFigure(99.5, "%", 99.0, 99.9, "knn/dino-v1", "test")}
    facts = {"objective": "dino", "verdict": "healthy", "metric": "eval/knn_top1"}
    for _ in range(VERSIONS):
        client.create_model_version(
            "scenes-vit", str(folder), trial.run_id, tags=stored_tags(facts, figures),
            await_creation_for=0,
        )  # fmt: skip
    describe(store, "scenes-vit", VERSIONS)


def text_of(browser: Browser) -> str:
    return str(browser.find_element(By.TAG_NAME, "body").text)


def trial_of(store: Store) -> entities.Run:
    """The trial with the picture and the versions."""
    experiment = find_experiment(store, "scenes")
    (found,) = store.search_runs("attributes.run_name = 't000-s0'", [experiment.experiment_id])
    return found


def wait_for_picture(browser: Browser, width: int, source: str = "") -> None:
    """Waits until the browser has read a picture of that width."""
    script = "return Array.from(document.images, image => [image.src, image.naturalWidth])"
    WebDriverWait(browser, PATIENCE_S).until(
        lambda _: any(
            source in address and width == found
            for address, found in browser.execute_script(script)
        ),
        f"no picture {source} of {width} px",
    )


def test_the_runs_open_on_the_training_side_with_columns_and_the_best_first(
    browser: Browser, pages: tuple[Store, str, str]
) -> None:
    _, link, _ = pages
    browser.set_window_size(2200, 1000)
    browser.get(link)
    wait_for_text(browser, "t000-s0", "t298-s0", "eval/knn_top1", "Model registry")
    rows = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "a[href*='/runs/']")]
    names = [row for row in rows if row.startswith("t")]
    assert names[:2] == ["t000-s0", "t298-s0"]
    assert "99.5" in text_of(browser)
    wait_for_text(browser, "poise.verdict", "healthy")


def test_the_study_is_in_the_table_as_the_parent_of_its_trials(
    browser: Browser, pages: tuple[Store, str, str]
) -> None:
    store, link, _ = pages
    experiment = find_experiment(store, "scenes")
    (study,) = store.search_runs("attributes.run_name = 'collapse'", [experiment.experiment_id])
    # the best 100 runs hide a study, which has no figure; the search box finds it by its name
    browser.get(f"{link}&searchFilter={quote(NAMED)}")
    wait_for_text(browser, "collapse")
    address = f"a[href*='/runs/{study.info.run_id}']"
    assert "collapse" in [each.text for each in browser.find_elements(By.CSS_SELECTOR, address)]


def test_a_trials_page_links_to_its_study(browser: Browser, pages: tuple[Store, str, str]) -> None:
    store, _, base = pages
    trial = trial_of(store)
    study_id = trial.data.tags["mlflow.parentRunId"]
    browser.get(f"{base}/#/experiments/{trial.info.experiment_id}/runs/{trial.info.run_id}")
    wait_for_text(browser, "t000-s0", "Parent run", "collapse")
    links = browser.find_elements(By.CSS_SELECTOR, f"a[href*='/runs/{study_id}']")
    assert "collapse" in [each.text for each in links]


def test_a_picture_of_a_run_opens_among_its_artifacts(
    browser: Browser, pages: tuple[Store, str, str]
) -> None:
    store, _, base = pages
    trial = trial_of(store)
    run = f"{base}/#/experiments/{trial.info.experiment_id}/runs/{trial.info.run_id}"
    browser.get(f"{run}/artifacts/pictures/attention.png")
    wait_for_text(browser, "attention.png")
    wait_for_picture(browser, width=60)


def test_a_versions_page_has_its_description_and_its_picture(
    browser: Browser, pages: tuple[Store, str, str]
) -> None:
    _, _, base = pages
    browser.set_window_size(1400, 2400)
    browser.get(f"{base}/#/models/scenes-vit/versions/{VERSIONS}?workflowType=machine_learning")
    wait_for_text(
        browser, "k-NN accuracy 99.5 % (99.0 to 99.9), verdict: healthy.", "RankMe is 63", "Limits"
    )
    # MLflow drops the text of an image, so the picture is known by its address
    wait_for_picture(browser, width=60, source="attention.png")


def test_a_models_page_says_which_version_to_take(
    browser: Browser, pages: tuple[Store, str, str]
) -> None:
    _, _, base = pages
    browser.get(f"{base}/#/models/scenes-vit?workflowType=machine_learning")
    wait_for_text(browser, f"Take version {VERSIONS}, because its eval/knn_top1 of 99.5 %")
    assert f"There are {VERSIONS} versions" in text_of(browser)


def test_the_documentations_pictures_of_mlflow_can_be_taken(
    browser: Browser, pages: tuple[Store, str, str]
) -> None:
    store, _, _ = pages
    model = f"models:/scenes-vit/{VERSIONS}"
    taken = dict(mlflow_pictures(browser, store, model, MLFLOW_NAMES))
    assert tuple(taken) == MLFLOW_NAMES
    for picture in taken.values():
        with Image.open(BytesIO(picture)) as image:
            assert len(image.convert("RGB").quantize(8).getcolors() or ()) > 1, "it is not blank"
