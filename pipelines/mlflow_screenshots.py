"""Takes pictures of MLflow's pages: the runs of an experiment, a version, and its model.

In: a store with runs and a registered model. Out: a PNG file in memory for each page. Next:
``pipelines/screenshots.py``, which writes them into ``docs/screenshots``.
"""

from collections.abc import Collection, Iterator

from pipelines.headless_browser import Browser, show_page, take_picture, wait_for_text
from pipelines.ray_nodes import free_port
from poise.tracking.store import Store
from poise.tracking.ui import find_experiment, link_to, mlflow_server, prepare_view

RUNS, VERSION, MODEL = "mlflow-runs", "mlflow-version", "mlflow-model"
MLFLOW_NAMES = (RUNS, VERSION, MODEL)
_SIZE = (1600, 1000)


def mlflow_pictures(
    browser: Browser, store: Store, model: str, wanted: Collection[str]
) -> Iterator[tuple[str, bytes]]:
    """Takes the wanted pictures, and yields each with its name.

    Args:
        browser: a running browser.
        store: store with the newest run and the model.
        model: a version as ``models:/NAME/VERSION``.
        wanted: names of pictures. Other names than ``MLFLOW_NAMES`` are left out.
    """
    if not {*MLFLOW_NAMES} & {*wanted}:
        return
    name, version = model.removeprefix("models:/").split("/")
    experiment = find_experiment(store, None)
    prepare_view(store, experiment)
    with mlflow_server(store, free_port()) as base:
        side = "workflowType=machine_learning"
        pages = {
            RUNS: (link_to(base, experiment), "eval/knn_top1"),
            VERSION: (f"{base}/#/models/{name}/versions/{version}?{side}", "Limits"),
            MODEL: (f"{base}/#/models/{name}?{side}", "Take version"),
        }
        for each in filter(wanted.__contains__, pages):
            address, text = pages[each]
            show_page(browser, address, _SIZE)
            wait_for_text(browser, text)
            yield each, take_picture(browser, _SIZE[1])
