"""k-NN answers of the trained model that a run starts from, to compare later answers with them.

In: for each query image, whether k-NN was right at the start of the run and whether it is right
now. Out: the shares of queries that were forgotten and learned. Next:
``poise.diagnostics.judge.forgetting``.

Most images are answered the same way at both times. So a difference of two accuracies on the same
images has a smaller error than each accuracy. The first evaluation of a run that starts from a
trained model writes its answers to a file in the run's folder. Later evaluations read this file,
also after an interruption.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from poise.config.errors import PoiseError
from poise.config.files import read_json, write_json
from poise.evaluation.answers_per_image import packed, unpacked


@dataclass(frozen=True)
class StartAnswers:
    """File that stores which queries k-NN classified correctly at the start of a run.

    Every process of the run may read the file.
    """

    path: Path
    measured_by: str
    """Text that names the settings and images. Answers are compared only if this text is the same.
    """

    def keep(self, hits: Tensor) -> Iterator[tuple[str, float]]:
        """Writes whether each query was classified correctly, bool [n].

        Yields n as ``knn_queries``.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "measured_by": self.measured_by,
            "queries": len(hits),
            "right": packed(hits.cpu().numpy()),
        }
        write_json(self.path, content)
        yield "knn_queries", float(len(hits))

    def compare(self, hits: Tensor) -> Iterator[tuple[str, float]]:
        """Compares answers, bool [n], with the answers at the start of the run.

        Yields the number of answers as ``knn_queries``. Yields in percent of the queries
        ``knn_forgotten`` (right at the start, wrong now) and ``knn_learned`` (wrong at the start,
        right now). Yields nothing if there are no answers of the start to the same images and
        settings.

        Healthy: more is learned than forgotten. Broken: much is forgotten and little is learned.
        """
        before = self._read(len(hits))
        if before is None:
            return
        now = hits.cpu()
        for name, count in (("forgotten", before & ~now), ("learned", ~before & now)):
            yield f"knn_{name}", int(count.sum()) * 100.0 / len(now)
        yield "knn_queries", float(len(now))

    def _read(self, queries: int) -> Tensor | None:
        try:
            content = read_json(self.path)
        except PoiseError:
            return None
        if not isinstance(content, dict) or "right" not in content:
            return None
        if (content.get("measured_by"), content.get("queries")) != (self.measured_by, queries):
            return None
        return torch.from_numpy(unpacked(content["right"], queries))
