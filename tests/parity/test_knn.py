from pathlib import Path

import numpy as np
import pytest
import torch

from poise.evaluation.neighbours import knn
from poise.evaluation.neighbours.samples import BankAndQueries


def test_weighted_knn_classifies_exactly_as_published(
    golden_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = {
        name: torch.from_numpy(value) for name, value in np.load(golden_dir / "knn.npz").items()
    }
    recorded = {int(name.removeprefix("top1_k")) for name in case if name.startswith("top1_k")}
    assert recorded
    monkeypatch.setattr(knn, "_CHUNK_ELEMENTS", 7 * len(case["train_labels"]))
    for k in recorded:
        accuracies = dict(
            knn.knn_probe(
                BankAndQueries(
                    case["train_features"],
                    case["train_labels"],
                    case["test_features"],
                    case["test_labels"],
                    int(case["num_classes"]),
                ),
                k=k,
                temperature=float(case["temperature"]),
            )
        )
        assert accuracies == {"knn_top1": case[f"top1_k{k}"], "knn_top5": case[f"top5_k{k}"]}
