"""Fixtures for every test."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
GROUPS = ("@ray", "@own-ray")  # as pytest-xdist writes them behind a test's name


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Makes groups of tests that stay on one worker of `pytest -n`.

    Tests that need Ray wait more than they work. So those of the shared cluster are one group, and
    those whose commands start clusters of their own are another, which runs at the same time. Other
    slow tests stay with those of their file, because each worker would set up the file's fixtures.
    pytest-xdist begins with large groups.
    """
    for item in items:
        if item.get_closest_marker("ray"):
            shared = "ray_cluster" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("ray" if shared else "own-ray"))
        elif item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}.{item.path.stem}"))


@pytest.fixture(autouse=True)
def _hears_ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, here and in commands.

    A shell tells a command in the background to ignore it. Libraries that a test used may have
    installed a handler of their own and left it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test joins a developer's cluster, writes to their store or fills their folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("POISE_HOME", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow store to copy: the migrations take seconds, and are made once.

    The workers of pytest-xdist share it. Opening it is safe while another worker makes it.
    """
    from poise.tracking.store import open_store

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    path = folder / "migrated" / "mlflow.db"
    open_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def poise_home(migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A POISE_HOME of the test's own, with an empty MLflow store."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(migrated_file, folder)
    monkeypatch.setenv("POISE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Recorded outputs of the published implementations."""
    folder = Path(os.environ.get("GOLDEN_DIR", REPOSITORY.parent / "shared" / "golden"))
    if not folder.is_dir():
        pytest.skip(f"no recorded reference outputs at {folder}; set GOLDEN_DIR")
    return folder


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Real images beside the repository."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}")
    return folder


@pytest.fixture(scope="session")
def ray_cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """One local Ray cluster for the whole session."""
    import ray

    if "PYTEST_XDIST_WORKER" in os.environ:  # pytest 9.2 loses the groups of pytest-xdist 3.8
        needing = [item for item in request.session.items if item.get_closest_marker("ray")]
        assert all(item.nodeid.endswith(GROUPS) for item in needing), "two clusters would start"

    from poise.cluster.connection import start_ray

    start_ray(ends_runs=True)
    yield
    ray.shutdown()
