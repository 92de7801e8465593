"""Data-parallel training: `torchrun --standalone --nproc-per-node 2 -m -- training train …`.

Every process ("rank") holds the whole network and trains it on its share of the lanes. Each reads the same stream of
batches and cuts its lanes out of it, so that a run does not depend on how many processes it is shared out to, and a
checkpoint can be taken up by another number of them. The gradients of all are summed before each update, and so all
make the same one: with the full softmax that of a single process, up to rounding. The sampled softmax draws the same
negatives on every rank, to which each adds the targets of its own lanes.

Li et al. 2020, "PyTorch Distributed", but with one bucket of gradients: the backward pass through time ends with the
large matrices, so that there would be little to overlap.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from training.errors import TrainingError

PATIENCE = timedelta(hours=2)
"""How long processes wait for each other: one of them may be validating."""


@dataclass(frozen=True)
class Ranks:
    """Process number `rank` of `size`; alone, every method hands back what it is given."""

    rank: int = 0
    size: int = 1

    def lanes(self, lanes: int) -> slice:
        """This process's share of so many lanes."""
        if lanes % self.size:
            raise TrainingError(f"{lanes} lanes cannot be shared out to {self.size} processes; give a multiple of it.")
        share = lanes // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def agree(self, value: float) -> float:
        """What rank 0 gives, for all."""
        if self.size == 1:
            return value
        message = torch.tensor([value], dtype=torch.double, device=_device())
        distributed.broadcast(message, src=0)
        return message.item()

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors `[N, …]` of all ranks in their order, `[size · N, …]`, on the tensor's own device."""
        if self.size == 1:
            return tensor
        parts = [torch.empty_like(tensor, device=_device()) for _ in range(self.size)]
        distributed.all_gather(parts, tensor.to(_device()).contiguous())
        return torch.cat(parts).to(tensor.device)

    def sum_up(self, loss: Tensor, dense: list[nn.Parameter], tables: list[nn.Parameter], looked_up: int) -> Tensor:
        """Replaces every gradient by its sum over the ranks, and returns that of the loss.

        The gradients of `tables` are sparse, each with at most so many rows `looked_up`.
        """
        if self.size == 1:
            return loss
        gradients = [weight.grad for weight in dense if weight.grad is not None]
        bucket = torch.cat([loss.reshape(1), *(gradient.reshape(-1) for gradient in gradients)])
        distributed.all_reduce(bucket)
        sums = bucket[1:].split([gradient.numel() for gradient in gradients])
        for gradient, summed in zip(gradients, sums, strict=True):
            gradient.copy_(summed.view_as(gradient))
        for table in tables:
            assert table.grad is not None
            table.grad = self._sum_of_rows(table.grad, looked_up)
        return bucket[0]

    def _sum_of_rows(self, gradient: Tensor, looked_up: int) -> Tensor:
        # Row 0 of a table is always nought; adding nought to it makes all ranks' messages equally long.
        rows = gradient._indices().new_zeros(looked_up)
        values = gradient._values().new_zeros(looked_up, gradient.shape[1])
        rows[: gradient._nnz()], values[: gradient._nnz()] = gradient._indices()[0], gradient._values()
        return torch.sparse_coo_tensor(self.gather(rows)[None], self.gather(values), gradient.shape)


ALONE = Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Joins the other processes that torchrun has started; without it there is one."""
    if not launched():
        yield ALONE
        return
    # Optimizers import it, and the defaults of its functions keep the group there is by then: the group's threads would
    # outlive `destroy_process_group`, and one that meets the interpreter's end aborts the process.
    importlib.import_module("torch.distributed.nn.functional")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size())
        distributed.barrier()  # a process that leaves while another one still talks to it may abort
    finally:
        distributed.destroy_process_group()


def launched() -> bool:
    """Whether torchrun has started this process."""
    return distributed.is_available() and distributed.is_torchelastic_launched()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
