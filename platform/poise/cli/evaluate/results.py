"""Carries out one evaluation after the other, and notes the errors of those that do not succeed.

In: evaluations, models and a dataset. Out: ``Results``. Next:
``poise.cli.evaluate.all_evaluations``, which makes a table of the results.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from poise.cli.evaluate.measured import (
    Evaluation,
    EvaluationOptions,
    MeasuredModel,
    log_measured,
    log_together,
    measure_models,
)
from poise.cli.streams import say, tells_progress
from poise.config.disk import disk_complaint
from poise.config.errors import PoiseError, one_line
from poise.config.wording import counted

if TYPE_CHECKING:
    from poise.cli.evaluate.models import NamedModel
    from poise.data.dataset import ImageDataset


class EvaluationsFailedError(PoiseError):
    """Error for evaluations that failed while the results of the others were written."""

    exit_status = 3


@dataclass(frozen=True)
class Results:
    """Results of the evaluations that were carried out so far, by the name of the evaluation.

    A model's values are logged as soon as they are measured. If only the store fails, they are
    still in ``measured``, and the evaluation counts as failed.
    """

    left_out: dict[str, str]
    """Reasons of the evaluations that the dataset or a model does not allow."""

    measured: dict[str, list[MeasuredModel]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Errors of the store and unexpected errors, in one line each."""

    def add(
        self,
        evaluation: Evaluation,
        options: EvaluationOptions,
        dataset: ImageDataset,
        models: Sequence[NamedModel],
    ) -> None:
        """Carries out an evaluation. An error is noted, so that the other evaluations still run."""
        name = evaluation.name
        with self._surviving(name):
            try:
                log = partial(self._log, name)
                measured = measure_models(evaluation, options, dataset, models, on_model=log)
            except PoiseError as error:
                self.left_out[name] = str(error)
                if not tells_progress():  # otherwise it is printed below the table
                    say(f"left out: {name}: {error}")
            else:
                self.measured[name] = measured
                log_together(evaluation, measured)

    def _log(self, name: str, measured: MeasuredModel) -> None:
        with self._surviving(name):
            log_measured(measured)

    @contextmanager
    def _surviving(self, name: str) -> Iterator[None]:
        """Notes the error of the block as a failure of the evaluation.

        Raises:
            OSError: the disk is full or fails. Then nothing else could be written either.
        """
        try:
            yield
        except PoiseError as error:
            self.failed[name] = str(error)
            say(f"failed: {name}: {error}")
        except Exception as error:  # a bug, or too little memory
            if isinstance(error, OSError) and disk_complaint(error) is not None:
                raise
            self.failed[name] = f"{type(error).__name__}: {one_line(error)}"
            say(f"failed: {name}\n{traceback.format_exc()}")

    @property
    def failure(self) -> EvaluationsFailedError | None:
        """Error that names the evaluations that failed; None if none failed."""
        if not self.failed:
            return None
        errors = "; ".join(f"{name}: {error}" for name, error in self.failed.items())
        count = counted(len(self.failed), "evaluation")
        return EvaluationsFailedError(f"{count} failed ({errors}); the others are complete")
