"""Keeps Ray Train's list of a run's checkpoints equal to the checkpoints that exist.

In: the folder of a run, before Ray Train starts. Out: Ray Train's file with the list, corrected.
Next: ``poise.training.worker``.

Ray Train resumes a run from the list alone, and does not start if a folder of the list is missing
or the file is cut off. A user may have deleted a damaged checkpoint, and a process that is killed
while it writes the file leaves half of it. So the folders decide, and the list is written again if
it differs.
"""

from ray.train.v2._internal.constants import CHECKPOINT_MANAGER_SNAPSHOT_FILENAME
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import (
    _CheckpointManagerState,
    _TrainingResultState,
)

from poise.config.locations import Location
from poise.config.storage import MissingFileError
from poise.training.checkpoint import checkpoints
from poise.training.checkpoint_store import PREFIX


def mend_snapshot(run_folder: Location) -> None:
    """Writes Ray Train's list of checkpoints if it differs from the complete checkpoints.

    Args:
        run_folder: folder of the run's checkpoints. It need not exist.

    Raises:
        OSError: a local file cannot be read or written.
        PoiseError: the object storage fails.
    """
    names = sorted(
        place.name
        for place in checkpoints(run_folder)
        if place.name.startswith(PREFIX) and place.parent == run_folder
    )
    file = run_folder / CHECKPOINT_MANAGER_SNAPSHOT_FILENAME
    if _listed(file) != names:
        file.write_text(_snapshot(names))


def _listed(file: Location) -> list[str] | None:
    """Returns the names in Ray Train's list: none without a file, None if it cannot be read."""
    try:
        state = _CheckpointManagerState.model_validate_json(file.read_bytes())
    except (FileNotFoundError, MissingFileError):
        return []
    except ValueError:  # also those of JSON and pydantic
        return None
    return [result.checkpoint_dir_name for result in state.checkpoint_results]


def _snapshot(names: list[str]) -> str:
    results = [_TrainingResultState(checkpoint_dir_name=name, metrics={}) for name in names]
    state = _CheckpointManagerState(
        checkpoint_results=results,
        checkpoint_report_indices=list(range(len(names))),
        latest_checkpoint_result=results[-1] if results else None,
        pending_training_results=[],
        pending_validation_specs=[],
        current_report_index=len(names),
        validated_checkpoint_dir_names=[],
        timed_out_validation_checkpoint_dir_names=[],
        failed_validation_checkpoint_dir_names=[],
    )
    return str(state.model_dump_json())
