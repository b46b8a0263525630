"""Bytes of all tensors that are alive, followed through a program of real or of fake tensors."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class AllocatedBytes(TorchDispatchMode):
    """Counts the memory of each tensor that an operation returns, until it is freed.

    Views share the memory of their tensor. FSDP frees gathered weights by giving their memory the
    size 0, which counts too.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        """Bytes that are alive."""

        self.most = 0
        """Largest number of bytes that were alive at once."""

        self._sizes: dict[weakref.ref[Any], int] = {}

    def add(self, tensor: Tensor) -> None:
        """Counts a tensor that exists already."""
        if isinstance(tensor, DTensor):
            tensor = tensor.to_local()
        if tensor.device.type == "meta":
            return
        self._set(tensor.untyped_storage())

    def _set(self, storage: torch.UntypedStorage) -> None:
        reference = weakref.ref(storage, self._freed)
        size = storage.nbytes()
        self.now += size - self._sizes.get(reference, 0)
        self._sizes[reference] = size
        self.most = max(self.most, self.now)

    def _freed(self, reference: "weakref.ref[Any]") -> None:
        self.now -= self._sizes.pop(reference, 0)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Runs an operation and counts its results. Operations of shards are counted as such."""
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented
        result = function(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self.add(each)
        return result


@contextmanager
def allocated_bytes() -> Iterator[AllocatedBytes]:
    """Counts what operations inside allocate. Tensors from before have to be added."""
    counted, resize = AllocatedBytes(), torch.UntypedStorage.resize_

    def resized(storage: torch.UntypedStorage, size: int) -> Any:
        result = resize(storage, size)
        counted._set(storage)
        return result

    with patch.object(torch.UntypedStorage, "resize_", resized), counted:
        yield counted
