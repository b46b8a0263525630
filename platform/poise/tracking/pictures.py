"""Pictures of a run on their way to its artifacts.

In: RGB tensors. Out: ``pictures/<name>/step-00000520.png``. Next: people, in MLflow's pages.
"""

from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from poise.tracking.store import Store

FOLDER = "pictures"


@dataclass(frozen=True)
class Picture:
    """One picture of one step."""

    step: int
    name: str
    pixels: Tensor  # uint8 [3, h, w]

    @property
    def path(self) -> str:
        """Among the run's artifacts; in order of steps when sorted by name."""
        return f"{FOLDER}/{self.name}/step-{self.step:08d}.png"

    def send(self, store: Store, run_id: str) -> None:
        """Stores it as a PNG; a picture of the same step is replaced."""
        image = Image.fromarray(self.pixels.permute(1, 2, 0).contiguous().numpy())
        store.client.log_image(run_id, image, artifact_file=self.path)
