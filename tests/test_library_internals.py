"""Parts of libraries that are not public, each used in one place of Poise.

If a new version takes one away, its test fails here and says which place of Poise needs it, and for
what. Tests of that place would fail with less clear words.
"""

import inspect
from pathlib import Path

import pytest


def _changed(part: str, place: str, purpose: str) -> str:
    return f"{part} has changed; {place} uses it {purpose}"


def test_ray_tells_what_its_autoscaler_may_add() -> None:
    from ray._private.state import state

    assert callable(getattr(state, "get_max_resources_from_cluster_config", None)), _changed(
        "ray._private.state", "poise/cluster/resources.py", "to count GPUs that are not up yet"
    )


def test_ray_tells_which_nodes_it_drains() -> None:
    from ray._private.state import state

    assert callable(getattr(state, "get_draining_nodes", None)), _changed(
        "ray._private.state",
        "poise/cluster/resources.py",
        "to place no workers on them",
    )


def test_ray_says_in_the_known_words_that_no_agent_runs() -> None:
    import ray

    from poise.cluster.client import SIGNS_OF_NO_AGENT

    source = Path(ray.__file__).parent / "dashboard" / "modules" / "job" / "job_head.py"
    text = source.read_text(encoding="utf-8")
    assert any(sign in text for sign in SIGNS_OF_NO_AGENT), _changed(
        "the answer of Ray's dashboard",
        "poise/cluster/client.py",
        "to tell that the agent of the head node is not up",
    )


def test_tune_can_be_made_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.tune.experimental.output import get_air_verbosity
    from ray.tune.progress_reporter import TrialProgressCallback

    from poise.sweeps.tune_setup import CONDUCT

    name = "RAY_AIR_NEW_OUTPUT"
    place, purpose = "poise/sweeps/tune_setup.py", "because Poise prints what happens to trials"
    monkeypatch.setenv(name, CONDUCT[name])
    assert get_air_verbosity(0) is None, _changed(name, place, purpose)
    assert callable(TrialProgressCallback.log_result), _changed(
        "TrialProgressCallback", place, purpose
    )


def test_tune_counts_the_deaths_of_a_trial_and_asks_its_limit_each_time() -> None:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    place = "poise/sweeps/restarts.py"
    purpose = "so that a trial restarts as often as it makes progress"
    rule = inspect.getsource(Trial.should_recover)
    assert "num_failures <= self.max_failures" in rule, _changed("Trial", place, purpose)
    assert isinstance(Trial.num_failures, property), _changed("Trial", place, purpose)
    failure = inspect.getsource(TuneController._process_trial_failure)
    assert "on_trial_recover(" in failure, _changed("TuneController", place, purpose)


def test_tune_keeps_the_last_error_of_a_trial_in_a_file_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.exceptions import RayTaskError
    from ray.train._internal import storage
    from ray.tune.experiment import Trial

    from poise.config import PoiseError
    from poise.sweeps.restarts import _error_of

    monkeypatch.setattr(storage, "_get_ray_train_session_dir", lambda: str(tmp_path / "session"))
    context = storage.StorageContext(str(tmp_path), experiment_dir_name="study")
    trial = Trial("train", stub=True, storage=context, _setup_default_resource=False)
    trial.init_local_path()
    assert _error_of(trial) is None
    cause = PoiseError("/scratch/runs/s: is not shared")
    trial.handle_error(RayTaskError("train", "a traceback", cause).as_instanceof_cause())
    assert str(_error_of(trial)) == str(cause), _changed(
        "Trial.pickled_error_file",
        "poise/sweeps/restarts.py",
        "to end a study with the error of a trial that could not write its record",
    )


def test_reports_of_ray_train_can_be_sent_to_tune() -> None:
    from ray.tune.integration.ray_train import TuneReportCallback

    names = list(inspect.signature(TuneReportCallback.after_report).parameters)
    assert names == ["self", "run_context", "metrics", "checkpoint"], _changed(
        "TuneReportCallback",
        "poise/sweeps/scheduler_reports.py",
        "to give Tune's scheduler the evaluations of a trial",
    )


def test_metrics_can_be_read_from_mlflows_database() -> None:
    from mlflow.store.tracking.dbmodels.models import SqlMetric

    columns = {column.name for column in SqlMetric.__table__.columns}
    assert {"run_uuid", "step", "key", "value", "is_nan", "timestamp"} <= columns, _changed(
        "SqlMetric",
        "poise/tracking/history.py",
        "to read all metrics of a run with one query instead of one request for each",
    )


def test_names_of_versions_can_be_read_without_mlflow() -> None:
    from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion

    from poise.tracking.registry import names

    purpose = "to complete the names of models in a shell, without the seconds that MLflow needs"
    changed = _changed("SqlModelVersion", "poise/tracking/registry/names.py", purpose)
    table = SqlModelVersion.__table__
    columns = {"name", "version", "current_stage", "creation_time"}
    assert table.name == "model_versions", changed
    assert columns <= {column.name for column in table.columns}, changed
    assert f"current_stage != '{STAGE_DELETED_INTERNAL}'" in names._NEWEST, changed


def test_ray_train_takes_policies_of_poise() -> None:
    from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy
    from ray.train.v2._internal.execution.scaling_policy import ElasticScalingPolicy
    from ray.train.v2.api.config import FailureConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    place, purpose = "poise/training/worker_scaling.py", "so that elastic runs divide the batch"
    source = inspect.getsource(DataParallelTrainer.fit)
    for part in ("_initialize_and_run_controller(", "scaling_policy=", "failure_policy="):
        assert part in source, _changed(f"DataParallelTrainer.fit ({part})", place, purpose)
    policy = ElasticScalingPolicy(ScalingConfig(num_workers=(1, 4)))
    room = policy._count_possible_workers({"node": {"CPU": 3.0}})
    assert room == 3, _changed("ElasticScalingPolicy._count_possible_workers", place, purpose)
    for name in ("_latest_monitor_time", "_latest_reserved_resources"):
        assert hasattr(policy, name), _changed(f"ElasticScalingPolicy.{name}", place, purpose)
    failures = DefaultFailurePolicy(FailureConfig(max_failures=1))
    place = "poise/training/worker_failures.py"
    assert failures._worker_group_failures == 0, _changed(
        "DefaultFailurePolicy", place, "so that a run restarts as often as it makes progress"
    )
    assert callable(failures._is_retryable_error), _changed(
        "DefaultFailurePolicy._is_retryable_error",
        "poise/training/worker_failures.py",
        "to restart workers after an outage",
    )


def test_ray_train_calls_a_callback_before_it_asks_for_resources() -> None:
    from ray.train.v2._internal.execution.callback import WorkerGroupCallback
    from ray.train.v2._internal.execution.worker_group import WorkerGroup

    place = "poise/training/worker_restart_guard.py"
    purpose = "so that a trial that was ended asks for no resources that nobody gives back"
    assert hasattr(WorkerGroupCallback, "before_worker_group_start"), _changed(
        "WorkerGroupCallback", place, purpose
    )
    source = inspect.getsource(WorkerGroup._start_impl)
    before, _, after = source.partition("before_worker_group_start(")
    assert "_create_placement_group(" not in before and "_create_placement_group(" in after, (
        _changed("WorkerGroup._start_impl", place, purpose)
    )
