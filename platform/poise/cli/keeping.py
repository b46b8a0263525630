"""What the commands that measure accuracies share.

In: a package's config, a report. Out: where to learn from, whether to read over Ray, and the
report kept with the run that made the model. Next: `poise.cli.evaluate`.
"""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poise.config.errors import PoiseError


def pretraining_dataset(config: dict[str, Any], model: str, option: str) -> str:
    """What a model was trained on, where ``option`` names no other dataset.

    Raises:
        PoiseError: its package does not say, or that is not here.
    """
    folder = config.get("lineage", {}).get("dataset")
    if not folder:
        raise PoiseError(
            f"{model}: does not say what it was trained on; name a dataset with {option}"
        )
    if not Path(folder).is_dir():
        raise PoiseError(
            f"{model}: was trained on {folder}, which is not here; name a dataset with {option}"
        )
    return str(folder)


def other_dataset(config: dict[str, Any], option: str, folder: str | None) -> tuple[str, ...]:
    """Tells of a dataset that was named in place of what the model was trained on."""
    own = config.get("lineage", {}).get("dataset")
    if folder is None or (own and Path(folder).resolve() == Path(own).resolve()):
        return ()
    from poise.data.manifest import Manifest

    return (f"{option}={Manifest.read(folder).name}",)


def reads_over_ray(asked: bool | None, num_images: int) -> bool:
    """Whether to read images over Ray: as asked, else where it pays."""
    if asked is not None:
        return asked
    from poise.evaluation.distributed import pays

    return pays(num_images)


def keep_figures(config: dict[str, Any], report: Any) -> str | None:
    """Logs a report with the run that made the model; returns its id, where it is known here.

    Args:
        config: the package's.
        report: a dataclass with ``measurement``, ``file_name`` and ``figures``.
    """
    from poise.tracking.evaluation import find_maker, log_evaluation

    run_id = find_maker(config)
    if run_id is None:
        return None
    figures = {name: [(0, value)] for name, value in report.figures.items()}
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{report.file_name}.json"
        path.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
        log_evaluation(run_id, figures, [path], f"probes/{report.measurement}")
    return run_id
