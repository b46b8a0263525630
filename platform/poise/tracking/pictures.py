"""Pictures that training draws, as artifacts of a run.

In: RGB tensors. Out: ``pictures/<name>/step-00000520.png``. Next: users see the pictures in MLflow.
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
    """Picture of one training step."""

    run_id: str
    step: int
    name: str
    pixels: Tensor  # uint8 [3, h, w]

    @property
    def path(self) -> str:
        """Path of the PNG among the run's artifacts. The order of paths is the order of steps."""
        return f"{FOLDER}/{self.name}/step-{self.step:08d}.png"

    def delivery(self) -> Delivery:
        """Makes a message that stores the picture as a PNG.

        An earlier picture of the same name and step is replaced.

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
