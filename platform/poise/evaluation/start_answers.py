"""Answers of a trained start, kept so that a run's later answers are compared image by image.

In: for each query, whether k-NN was right at the start and whether it is right now. Out: the shares
of queries that were forgotten and learned. Next: ``poise.diagnostics.judge.forgetting``.

A difference of two accuracies on the same images is known better than each of them, because most
images are answered the same way. So the first evaluation of a run that starts from trained weights
keeps its answers in a file beside the run. Later evaluations read it, also after an interruption.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from poise.config.errors import PoiseError
from poise.config.files import read_json, write_json


@dataclass(frozen=True)
class StartAnswers:
    """The file with a start's answers. Every process of the run may read it."""

    path: Path
    measured_by: str
    """Settings and images of the evaluation. Answers to other questions are not compared."""

    def keep(self, hits: Tensor) -> Iterator[tuple[str, float]]:
        """Writes the answers of the start, bool [n]; yields their number as ``knn_queries``."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        packed = np.packbits(hits.cpu().numpy())
        content = {
            "measured_by": self.measured_by,
            "queries": len(hits),
            "right": base64.b64encode(packed.tobytes()).decode(),
        }
        write_json(self.path, content)
        yield "knn_queries", float(len(hits))

    def compare(self, hits: Tensor) -> Iterator[tuple[str, float]]:
        """Compares answers, bool [n], with those of the start.

        Yields in percent of the queries ``knn_forgotten`` (right at the start, wrong now) and
        ``knn_learned`` (wrong at the start, right now), and ``knn_queries``, their number. Yields
        nothing where the start was asked about other images, or was never asked.

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
        if (content["measured_by"], content["queries"]) != (self.measured_by, queries):
            return None
        packed = np.frombuffer(base64.b64decode(content["right"]), dtype=np.uint8)
        return torch.from_numpy(np.unpackbits(packed, count=queries).astype(bool))
