"""The processes of one run as a process group of torch.distributed, and what is known if one of them is lost.

A launcher such as torchrun starts them, or else the first process, on this machine.
"""

import functools
import io
import logging
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore, rendezvous  # type: ignore[attr-defined]

from normlab.errors import ConfigurationError
from normlab.processes.children import describe_end, exit_with_parent, get_context
from normlab.processes.collectives import ProcessLostError, detect_lost_process
from normlab.runs.run import Run
from normlab.training.data_parallel.place import VARIABLES, find_place

PATIENCE = timedelta(minutes=30)
"""Longest time that a living process may keep the others waiting: process 0 alone observes and writes."""

LOCALHOST = "127.0.0.1"

SECONDS_TO_EXPLAIN = 2.0
"""Time for process 0 to find the cause if it loses another one: a connection breaks before its process has ended."""

_requests: Counter[str] = Counter()
"""Run id → number of requests in this process: each request has keys of its own in the store."""


@dataclass
class Group:
    """The processes of one run, seen from one of them; process 0 owns the run and writes."""

    rank: int
    size: int
    local_rank: int
    """Number among the processes on this machine, which picks its GPU."""
    store: Store
    """Reached by all of them, for this run alone."""
    children: Sequence[BaseProcess] = ()
    """The other processes, if process 0 started them."""
    has_broadcast: bool = False

    @contextmanager
    def explain_loss(self) -> Iterator["Group"]:
        """Say in a ProcessLostError raised in this context which process was lost and why, if that is known."""
        try:
            yield self
        except ProcessLostError as error:
            raise ProcessLostError(self._explain_loss()) from error

    @contextmanager
    def connect(self) -> Iterator[None]:
        """Connect all processes by torch's default process group in this context.

        Raises ProcessLostError, which says which process was lost and why, if that is known.
        """
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store = PrefixStore("group", self.store)
        try:
            with self.explain_loss():
                self._wait_for_children()
                with detect_lost_process():
                    dist.init_process_group(
                        backend, store=store, rank=self.rank, world_size=self.size, timeout=PATIENCE
                    )
                yield
                if self.rank == 0 and not self.has_broadcast:
                    self.broadcast(None)
                with suppress(RuntimeError):
                    dist.barrier()  # closing a connection may cost another process what it has not read yet
        except Exception as error:
            if self.rank > 0 and not isinstance(error, ProcessLostError):
                with suppress(RuntimeError):
                    self.store.set("error", f"process {self.rank} of {self.size} failed: {traceback.format_exc()}")
            raise
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()

    def broadcast(self, content: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Return in all processes what process 0 gives: plain data and tensors, or None if nothing is left to train."""
        self.has_broadcast = True
        written = io.BytesIO()
        torch.save(content, written)
        sent = [written.getvalue()]
        with detect_lost_process():
            dist.broadcast_object_list(sent, src=0)
        received: dict[str, Any] | None = torch.load(io.BytesIO(sent[0]), map_location="cpu", weights_only=True)
        return received

    def _wait_for_children(self) -> None:
        """Wait until all children are ready to connect, which torch would do for minutes if one has died."""
        if self.rank > 0:
            self.store.set(f"ready {self.rank}", "")
        ready = [f"ready {rank}" for rank in range(1, len(self.children) + 1)]
        while ready and not self.store.check(ready):
            if self._known_cause() is not None:
                raise ProcessLostError
            time.sleep(0.02)

    def _explain_loss(self) -> str:
        if self.rank > 0:
            return f"process 0 of {self.size} is gone or ended the run; its log says why"
        end = time.monotonic() + SECONDS_TO_EXPLAIN
        while (cause := self._known_cause()) is None and time.monotonic() < end:
            time.sleep(0.02)
        return cause or f"one of the {self.size} processes is gone; its own output says why"

    def _known_cause(self) -> str | None:
        if self.store.check(["error"]):
            return str(self.store.get("error").decode().strip())
        for rank, process in enumerate(self.children, start=1):
            if not process.is_alive():
                return f"process {rank} of {self.size}, {describe_end(process)}"
        return None


@contextmanager
def start_followers(run: Run, train: Callable[[Run], object]) -> Iterator[Group]:
    """Start the other processes of a run; they are connected in this context and end with it.

    Each calls `train(run)` in the environment in which torchrun would start it. Raises ProcessLostError, which says
    which process was lost and why.
    """
    size = run.settings["accelerator"]["processes"]
    context = get_context()
    store = TCPStore(LOCALHOST, 0, is_master=True, wait_for_workers=False)
    children = [
        context.Process(  # type: ignore[attr-defined]
            target=_follow, args=(run, train, rank, size, store.port), daemon=False
        )
        for rank in range(1, size)
    ]
    try:
        for child in children:
            child.start()
        group = Group(0, size, 0, PrefixStore(f"{run.id} 1", store), children)
        with group.connect():
            yield group
    finally:
        for child in children:  # their state is the parent's too
            if child.pid is not None:
                child.kill()
                child.join()


def _follow(run: Run, train: Callable[[Run], object], rank: int, size: int, port: int) -> None:
    exit_with_parent()
    logging.disable()  # process 0 logs the same
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": LOCALHOST, "MASTER_PORT": port}
    # As under torchrun, the store is served by the process that starts the others.
    os.environ.update({name: str(value) for name, value in place.items()}, TORCHELASTIC_USE_AGENT_STORE="True")
    try:
        train(run)
    except BaseException:  # process 0 knows of it, or is lost
        sys.exit(1)


@contextmanager
def join_group(run: Run) -> Iterator[Group | None]:
    """Connect to the other processes that a launcher such as torchrun started for a run; None if there are none.

    Raises ConfigurationError if environment and config disagree about their number, or if they cannot be reached.
    """
    place = find_place()
    if place is None:
        yield None
        return
    rank, size = place
    processes = run.settings["accelerator"]["processes"]
    if size != processes:
        raise ConfigurationError(
            f"WORLD_SIZE={size} in the environment, but accelerator.processes={processes}: give both one number, with"
            f" accelerator=ddp accelerator.processes={size}, or unset {', '.join(VARIABLES)}"
        )
    _requests[run.id] += 1
    store = PrefixStore(f"{run.id} {_requests[run.id]}", _common_store())
    group = Group(rank, size, int(os.environ.get("LOCAL_RANK", rank)), store)
    with group.connect():
        yield group


@functools.cache
def _common_store() -> Store:
    """Connect to the store that all runs of this process use; process 0 serves it, unless torchrun does."""
    try:
        store, _, _ = next(rendezvous("env://"))
    except RuntimeError as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise ConfigurationError(f"no rendezvous at {place} (MASTER_ADDR:MASTER_PORT): {error}") from error
    assert isinstance(store, Store)
    return store
