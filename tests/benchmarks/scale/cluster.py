"""What a run needs on a cluster, computed from a few stated assumptions."""

from dataclasses import dataclass

import numpy as np

from poise.config.metrics import EVALUATION, REGISTERS
from poise.data.stream.plan import Plan, window_samples
from tests.benchmarks.bench_dino_step import Size

IMAGE_BYTES = 110_000
ROWS_PER_GROUP = 128
GPUS_PER_NODE = 8
IMAGES_PER_GPU = 64
PEAK_FLOPS = 989e12
MFU = 0.4
PREFETCHED_BATCHES = 4
LOG_EVERY_STEPS = 50
STORED_BYTES_PER_S = 1e9
CHECKPOINT_SHARE = 0.02
BLOCK_BYTES = 16 * 2**20
BLOCKS_PER_WORKER = 3
SCHEDULES = 4

VIT_BASE = Size(224, 96, 16, dim=768, depth=12, num_heads=12, batch_size=IMAGES_PER_GPU)
VIEW_BYTES = 3 * (2 * 224**2 + 8 * 96**2)


@dataclass(frozen=True)
class Cluster:
    """GPUs that train one run, a worker each."""

    num_gpus: int

    @property
    def gpus_on_a_node(self) -> int:
        """Number of GPUs on each node."""
        return min(self.num_gpus, GPUS_PER_NODE)

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return self.num_gpus // self.gpus_on_a_node

    @property
    def batch_size(self) -> int:
        """Images of a step over all workers."""
        return self.num_gpus * IMAGES_PER_GPU

    @property
    def s_per_step(self) -> float:
        """Time of a step. Nothing is added for the exchange of gradients."""
        return VIT_BASE.matmul_flops() / (MFU * PEAK_FLOPS)

    @property
    def images_per_s(self) -> float:
        """Images of all workers."""
        return self.batch_size / self.s_per_step

    @property
    def plan(self) -> Plan:
        """Plan of one epoch of 1 million images."""
        sizes = np.full(10**6 // ROWS_PER_GROUP, ROWS_PER_GROUP)
        return Plan(sizes, self.batch_size, 1, 0, window_samples(IMAGE_BYTES))

    @property
    def reads_per_image(self) -> float:
        """Times that all workers together read a row group in an epoch.

        The plan itself is asked, for the workers that share the first lane. Row groups at the
        border of two lanes count once.
        """
        plan = self.plan
        sharing = range(max(1, self.num_gpus // plan.num_lanes))
        read = [_groups_of(plan, rank, self.num_gpus) for rank in sharing]
        return sum(map(len, read)) / len(set().union(*read))

    @property
    def read_bytes_per_s(self) -> float:
        """Bytes that all workers read from the storage."""
        return self.images_per_s * IMAGE_BYTES * self.reads_per_image

    @property
    def held_bytes(self) -> float:
        """Encoded images that the readers of one node hold, while no window changes."""
        lanes = self.plan.num_lanes
        of_lane = window_samples(IMAGE_BYTES) // lanes * IMAGE_BYTES
        return self.gpus_on_a_node * of_lane * max(1.0, lanes / self.num_gpus)

    @property
    def prefetched_bytes(self) -> int:
        """Finished views that wait for the training workers of one node."""
        return self.gpus_on_a_node * PREFETCHED_BATCHES * IMAGES_PER_GPU * VIEW_BYTES

    @property
    def stored_blocks_bytes(self) -> int:
        """Blocks of encoded images in the object store of one node."""
        return self.gpus_on_a_node * BLOCKS_PER_WORKER * BLOCK_BYTES

    def moved_bytes_per_s(self, placement: str) -> float:
        """Bytes that pass through the object store of one node.

        Args:
            placement: ``worker``: encoded images. ``cluster``: encoded images and finished views.
        """
        of_image = IMAGE_BYTES + (VIEW_BYTES if placement == "cluster" else 0)
        return self.images_per_s / self.num_nodes * of_image


def _groups_of(plan: Plan, rank: int, workers: int) -> set[int]:
    ids = (plan.share(step, rank, workers).sample_ids for step in range(plan.total_steps))
    return {int(group) for share in ids for group in share // ROWS_PER_GROUP}


def metrics_per_log() -> int:
    """Counts what a DINO run of a ViT logs at each logged step, schedules included."""
    recipe = VIT_BASE.recipe("bf16")
    names = set(recipe.signals.metrics(recipe.data.views)) - {*EVALUATION, *REGISTERS}
    return len(names) + SCHEDULES
