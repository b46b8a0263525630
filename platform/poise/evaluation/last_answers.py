"""k-NN answers of a run's latest evaluation, to compare the trained model with others.

In: for each query image, whether k-NN was right. Out: a file in the run's folder. Next:
``poise.runs.pretraining`` stores the file with the finished run.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from poise.config.errors import PoiseError
from poise.evaluation.answers_per_image import Answers, packed
from poise.evaluation.neighbours.sets import KnnSets

logger = logging.getLogger(__name__)

METRIC = "eval/knn_top1"


@dataclass(frozen=True)
class LastAnswers:
    """File that stores which queries k-NN classified correctly at the latest evaluation."""

    path: Path
    settings: str
    """Settings of k-NN as text. Answers with other settings are not compared."""

    def keep(self, hits: Tensor, sets: KnnSets) -> None:
        """Writes whether each query was classified correctly, bool [n].

        Nothing is written on a machine without the run's folder. A full disk does not end the run.
        """
        if not self.path.parent.is_dir():
            return
        right = {METRIC: packed(hits.cpu().numpy())}
        answers = Answers(len(hits), sets.digest(self.settings), right)
        try:
            answers.write(self.path)
        except PoiseError as error:
            logger.warning("the answers of k-NN are not kept: %s", error)
