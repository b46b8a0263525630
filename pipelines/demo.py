"""The main job on the embedded dataset: ``make demo``.

``python pipelines/demo.py [key=value …]`` changes the space or its recipe.

Creates the scenes, sweeps DINO over the settings that decide whether it collapses, registers the
best backbone, and says what came of it.
"""

import sys
import time
from functools import partial

from poise.cli.main import exit_status
from poise.cli.study.output import carry_out, print_result
from poise.data.preparation.ingest import prepare
from poise.data.sources.options import PrepareOptions
from poise.sweeps.planning import begin_study
from poise.sweeps.result import StudyResult

SPACE = "search_spaces/demo.yaml"
DATASETS = {"data/scenes-train": (4096, 0), "data/scenes-test": (1000, 1)}  # images, seed


def main(overrides: list[str]) -> None:
    """Prepares, sweeps, registers and reports. Overrides change the space or its recipe."""
    started_s = time.perf_counter()
    for folder, (num_images, seed) in DATASETS.items():
        manifest = prepare("scenes", folder, PrepareOptions(num_images, seed))
        print(f"{folder}: {manifest.num_samples} images of {len(manifest.classes)} classes")
    result = carry_out(begin_study(SPACE, overrides))
    print_result(result)
    print(f"\n{conclusion(result)}")
    print(f"took {(time.perf_counter() - started_s) / 60:.1f} minutes")
    result.check_failures()


def conclusion(result: StudyResult) -> str:
    """The two findings of the demo, in words."""
    collapsed = sum(record.outcome.startswith("collapsed") for record in result.records)
    lines = [f"{collapsed} of {len(result.records)} trials collapsed"]
    if result.best is not None:
        metrics = result.best.metrics
        before, after = metrics["untrained/knn_top1"], metrics["eval/knn_top1"]
        lines.append(
            f"k-NN of the best backbone: {before:.1f} % before training, {after:.1f} % after "
            f"({after - before:+.1f} points)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(exit_status(partial(main, sys.argv[1:])))
