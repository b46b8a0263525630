"""What a run says before and after Ray Train has it, without a cluster."""

from pathlib import Path

import pytest
import ray
from ray.train import WorkerGroupError
from torch import nn

from poise.config import PoiseError
from poise.training.capacity import check_builds, check_fits, cpus_needed
from poise.training.parallel import with_shared_statistics
from poise.training.worker import first_cause
from tests.builders import tiny_masked_recipe, tiny_recipe
from tests.evaluation.conftest import MakeDataset, make_dataset
from tests.objectives.test_dino import build
from tests.objectives.test_labelled import begin, recipe_of

__all__ = ["make_dataset"]  # a fixture


def test_the_first_cause_of_a_failed_run_is_what_its_worker_raised() -> None:
    wrong = PoiseError("backbone.name=vit: timm has no such model")
    assert first_cause(WorkerGroupError("rank 1: a traceback", {1: wrong})) is wrong
    assert first_cause(wrong) is wrong


def test_a_run_that_never_fits_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray would wait for the CPUs for ever and say nothing.
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    check_fits(tiny_recipe(training__num_workers=2))
    with pytest.raises(PoiseError, match=r"num_workers=4 .* CPUs and this machine has 2"):
        check_fits(tiny_recipe(training__num_workers=4))
    # The tasks that cut views claim a CPU too.
    both = tiny_recipe(training__num_workers=2, data__placement="cluster")
    assert cpus_needed(both) == 3
    with pytest.raises(PoiseError, match=r"\+ 1 for data\.placement=cluster"):
        check_fits(both)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")  # nodes may come
    check_fits(both)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__views__local_px": 10}, r"data\.views\.local_px=10: is no multiple of the 4-px"),
        ({"evaluation__image_px": 18}, r"evaluation\.image_px=18: .* the nearest below is 16"),
        ({"backbone__name": "vit_nano"}, r"backbone\.name=vit_nano: timm has no such model"),
    ],
)
def test_a_backbone_that_cannot_see_the_views_is_refused_before_anything_starts(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(PoiseError, match=message):
        check_builds(tiny_recipe(**changes))


def test_a_backbone_that_cannot_serve_the_objective_is_refused_before_anything_starts() -> None:
    check_builds(tiny_recipe())
    check_builds(tiny_masked_recipe())
    with pytest.raises(PoiseError, match=r"backbone\.name=resnet10t: has no patches"):
        check_builds(tiny_masked_recipe(backbone={"name": "resnet10t", "drop_path": 0}))
    with pytest.raises(PoiseError, match=r"objective\.mask_ratio=0\.99: shows 0 of the 16"):
        check_builds(tiny_masked_recipe(objective__mask_ratio=0.99))


def test_workers_share_batch_statistics_only_where_the_objective_says_so(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    # A probe's are published as local, and a worker that skips a step would be waited for.
    _, probe = begin(recipe_of("linear/mae-v1", make_dataset, tmp_path))
    dino = build(tiny_recipe(backbone={"name": "resnet10t", "drop_path": 0}))
    for objective, shared in ((probe, False), (dino, True)):
        found = [
            isinstance(module, nn.SyncBatchNorm)
            for module in with_shared_statistics(objective).modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
        ]
        assert set(found) == {shared}
