"""The LightningModule around any network, objective and optimizer."""

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from normlab.data.stream import Batch
from normlab.evaluation import Objective


class Classifier(pl.LightningModule):
    """One update per training batch; everything measured is measured by callbacks, in inference mode.

    Args:
        network: from images (N, C, H, W) to logits (N, num_classes).
        objective: from logits and labels (N,) to the mean loss.
        optimizer: from the parameters to an optimizer.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
    ) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.optimizer = optimizer

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        return self.objective(self.network(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer(self.network.parameters())

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # the stream indexes tensors that already lie on the device
