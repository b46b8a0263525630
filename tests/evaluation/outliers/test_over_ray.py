from dataclasses import replace
from pathlib import Path

import pytest

from poise.evaluation.outliers.measure import measure_registers
from poise.evaluation.outliers.planted import Plant, PlantedBackbone
from poise.evaluation.reading.distributed import pass_over_ray
from tests.evaluation.outliers.conftest import small_vit, task_of


@pytest.mark.ray
@pytest.mark.slow
def test_ray_changes_no_figure(ray_cluster: None, scenes: Path, tmp_path: Path) -> None:
    task = task_of(PlantedBackbone(small_vit(), Plant(norm=300, count=2)), scenes, tmp_path)
    here, there = (
        {
            each.name: each.value
            for each in measure_registers(
                replace(task, bench=replace(task.bench, spread=spread, batch_size=8))
            ).figures_found
        }
        for spread in (None, pass_over_ray)
    )
    assert there == pytest.approx(here, rel=1e-5)
