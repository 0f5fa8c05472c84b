"""A normlab run, and the same network in the usual Lightning template: a program for `peers.py`."""

import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import pytorch_lightning as pl
import torch
from loop_by_hand import UNOBSERVED, read_run
from own_process import Task, answer
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from normlab.runs.run import Run
from normlab.training.build import Parts, build
from normlab.training.run import train

sys.modules["tensorflow"] = None  # type: ignore[assignment]  # tensorboard would import it where it is installed


class Images(Dataset[tuple[Tensor, Tensor]]):
    """One image and label at a time, in memory as uint8; reading files and PIL's transforms would come on top."""

    def __init__(self, path: str) -> None:
        with np.load(path) as data:
            self.images, self.labels = torch.from_numpy(data["images"]), torch.from_numpy(data["labels"])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        return self.images[number].unsqueeze(0) / 255.0, self.labels[number]


class TemplateModule(pl.LightningModule):
    """Network, loss and optimizer as templates have them: the loss of every step is logged."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        module = parts.module
        self.network, self.objective, self.optimizer = module.network, module.objective, module.make_optimizer

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        images, labels = batch
        loss = self.objective(self.network(images), labels)
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer(self.network.parameters())


def run_of_task(task: Task, root: str) -> Run:
    """Return what a run of the shipped experiment takes, with nothing observed: peers only train."""
    return read_run(
        f"experiment={task.network}",
        f"normalizer={task.normalizer}",
        f"steps={task.updates}",
        f"accelerator.threads={task.threads}",
        f"output_root={root}",
        *UNOBSERVED,
    )


def normlab(task: Task) -> float:
    """Time a whole run, with record, loggers and checkpoint."""
    with tempfile.TemporaryDirectory() as root:
        record = train(run_of_task(task, root))
    assert record.steps_per_second is not None
    return record.steps_per_second


def template(task: Task) -> float:
    """Time Trainer and fit, with a TensorBoard logger and the Trainer's own checkpoint, without progress bar."""
    module = TemplateModule(build(run_of_task(task, "unused").settings))
    loader = DataLoader(Images(task.data), batch_size=64, shuffle=True, num_workers=0, drop_last=True)
    with tempfile.TemporaryDirectory() as root:
        start = time.perf_counter()
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            max_steps=task.updates,
            logger=TensorBoardLogger(root),
            default_root_dir=root,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader)
        return task.updates / (time.perf_counter() - start)


def prepare(task: Task) -> tuple[int, Callable[[], float]]:
    network = build(run_of_task(task, "unused").settings).module.network
    side = template if task.side == "template" else normlab
    side(task._replace(updates=1))  # what is imported and allocated at first use
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad), lambda: side(task)


if __name__ == "__main__":
    answer(prepare)
