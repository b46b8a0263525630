"""Values of the last block that describe a registered backbone.

In: an ``AttentionReport``. Out: a few values with their metrics, protocol and dataset. Next:
``poise evaluate attention`` adds them to registered versions of the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from poise.evaluation.bootstrap import NORMAL_QUANTILE
from poise.evaluation.measurement import Measured, Measurement, as_name
from poise.evaluation.tokens.attention import AttentionReport, Statistic

_STATISTICS: Final = (
    "cls_cls_attention",
    "cls_pos_entropy_over_ln_n",
    "pos_self_attention",
    "pos_pos_entropy_over_ln_n",
)
_NORMS: Final = ("pos_norm_q50", "pos_norm_max", "pos_outlier_share")


@dataclass(frozen=True)
class LastBlock(Measurement):
    """Attention statistics and norms of tokens in the last block of a backbone.

    A backbone without [cls] has no statistics of [cls].
    """

    values: Mapping[str, Measured]
    """Values by the names of ``attention_statistics`` and ``norm_statistics``."""

    @classmethod
    def of(cls, report: AttentionReport, dataset_name: str) -> Self:
        """Takes the values from a report on all blocks.

        Args:
            report: report of the backbone.
            dataset_name: name of the dataset in its manifest.
        """
        attention, norms = report.blocks[-1], report.norms[-1]
        found = {name: _measured(attention[name]) for name in _STATISTICS if name in attention}
        found |= {name: Measured(norms[name], "") for name in _NORMS if name in norms}
        return cls(report.protocol, (), report.dataset, dataset_name, found)

    @property
    def measured(self) -> dict[str, Measured]:
        """Maps the name of each metric to its value.

        In the log, the metric ``attention/<dataset>/<name>`` has one value per block. Its latest
        value is that of the last block.
        """
        folder = f"attention/{as_name(self.dataset_name)}"
        return {f"{folder}/{name}": value for name, value in self.values.items()}


def _measured(found: Statistic) -> Measured:
    if found.standard_error is None:
        return Measured(found.mean, "")
    half = NORMAL_QUANTILE * found.standard_error
    return Measured(found.mean, "", found.mean - half, found.mean + half)
