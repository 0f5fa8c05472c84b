"""What the processes beside the first do in a data-parallel run: they train along, and write nothing."""

import logging
import multiprocessing
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_only
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from normlab.processes.children import live_with_the_driver
from normlab.processes.collectives import broadcast
from normlab.processes.stopping import StopRequest
from normlab.training.build import Parts, assemble
from normlab.training.checkpoints import restore, state_of
from normlab.training.data_parallel.gradients import DataParallel
from normlab.training.data_parallel.rendezvous import Rendezvous
from normlab.training.module import Classifier, stretches
from normlab.training.observers import Observer
from normlab.training.trainer import Stopping, trainer_for


def follow(settings: Mapping[str, Any], rendezvous: Rendezvous, request: StopRequest) -> None:
    """Train from the state that process 0 gives to the end that all agree on.

    Raises ProcessLostError where process 0 is gone, and whatever the training raises.
    """
    rank_zero_only.rank = rendezvous.rank  # type: ignore[attr-defined]
    parallel = DataParallel(rendezvous.rank, rendezvous.size, settings["seed"])
    with rendezvous.explained():
        parts = assemble(settings, rendezvous.local_rank)
        with rendezvous.connected(parts.device):
            _train(settings, parts, parallel, request)


def _train(settings: Mapping[str, Any], parts: Parts, parallel: DataParallel, request: StopRequest) -> None:
    precision = settings["accelerator"]["precision"]
    module = Classifier(parts.network, parts.objective, parts.optimizer, parts.batches, precision, parallel)
    restore(module, broadcast(None, parts.device))
    if settings["accelerator"]["compile"]:
        parts.network.compile()
    callbacks = [*parts.callbacks, Stopping(request)]
    trainer = trainer_for(parts.device, Path(), callbacks, [], False, settings["trainer"])
    observer = Observer(parts.schedules, parts.splits, parts.preprocess, parts.test_batches)  # for its dates alone
    trainer.fit(module, stretches(module.updates, settings["steps"], observer.is_due))


@contextmanager
def followed(rendezvous: Rendezvous, module: Classifier, device: torch.device) -> Iterator[None]:
    """Have, in process 0, the others make the same updates as this module, from its state, while the context lasts.

    Raises ProcessLostError, which says which one is gone and why.
    """
    with rendezvous.explained(), rendezvous.connected(device):
        # What process 0 draws is its own, and its GPUs may be others.
        broadcast({**state_of(module), "gpu_generators": []}, device)
        yield


@contextmanager
def followers(settings: Mapping[str, Any], rendezvous: Rendezvous | None) -> Iterator[Rendezvous | None]:
    """Have the other processes of a run train along for a while; None where the run has one process.

    Where the environment brought no others to this process (`rendezvous` is None), they are started here, and
    ended with the context.
    """
    size = settings["accelerator"]["processes"]
    if size == 1:
        yield None
    elif rendezvous is not None:
        rendezvous.say("train")
        yield rendezvous
    else:
        # One server per process imports torch and Lightning once, which takes seconds; its forks take milliseconds.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["normlab.training.data_parallel.followers"])
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        started = [
            context.Process(target=_follow_the_starter, args=(settings, rank, size, store.port), daemon=False)
            for rank in range(1, size)
        ]
        rendezvous = Rendezvous(0, size, 0, store)
        try:
            for process in started:
                process.start()
            rendezvous.started = started
            yield rendezvous
        finally:
            for process in started:  # what they hold, this process holds too
                if process.pid is not None:
                    process.kill()
                    process.join()


def _follow_the_starter(settings: Mapping[str, Any], rank: int, size: int, port: int) -> None:
    live_with_the_driver()
    logging.disable()  # process 0 logs the same
    store = TCPStore("127.0.0.1", port, is_master=False, timeout=timedelta(seconds=60))
    with StopRequest().listening() as request:
        try:
            follow(settings, Rendezvous(rank, size, rank, store), request)
        except Exception:  # process 0 has been told of it, or is gone
            sys.exit(1)
