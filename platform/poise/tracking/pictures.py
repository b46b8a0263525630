"""Pictures of a run, which become its artifacts.

In: RGB tensors. Out: ``pictures/<name>/step-00000520.png``. Next: users see them on MLflow's pages.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poise.tracking.unsent_messages import Delivery, file_delivery

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "pictures"


@dataclass(frozen=True)
class Picture:
    """One picture of one step."""

    run_id: str
    step: int
    name: str
    pixels: Tensor  # uint8 [3, h, w]

    @property
    def path(self) -> str:
        """Path among the run's artifacts. Sorted by path, pictures are in the order of steps."""
        return f"{FOLDER}/{self.name}/step-{self.step:08d}.png"

    def delivery(self) -> Delivery:
        """Makes a message with the picture as a PNG.

        It replaces an earlier picture of the same step.

        Raises:
            ValueError: the tensor is not a picture.
        """
        return file_delivery(self.run_id, self.path, self._png())

    def _png(self) -> bytes:
        from PIL import Image

        content = io.BytesIO()
        try:
            pixels = self.pixels.permute(1, 2, 0).contiguous().numpy()
            Image.fromarray(pixels).save(content, "PNG")
        except (TypeError, RuntimeError, ValueError) as error:
            raise ValueError(f"{self.path} is lost: {error}") from None
        return content.getvalue()
