"""How the processes of one data-parallel run find one another, and what they tell each other beside the training."""

import functools
import os
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.process import BaseProcess

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, rendezvous  # type: ignore[attr-defined]

from normlab.config.checks import ConfigurationError
from normlab.processes.children import end_of
from normlab.processes.collectives import ProcessLostError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""The environment by which torchrun and cluster launchers tell a process its place."""

PATIENCE = timedelta(minutes=30)
"""How long a living process may keep the others waiting: process 0 alone observes and writes."""

SECONDS_TO_LEAVE = 10.0
"""How long a process whose part is done waits until the others know that."""

_asked: Counter[str] = Counter()
"""How often this process was asked for a run, by its id: each time has keys of its own in the store."""


class Rendezvous:
    """The place of this process among those of one run, and the store through which they find one another.

    Process 0 owns the run and says what happens; the others hear it. Nobody waits for one that is gone.

    Args:
        rank: number of this process, from 0.
        size: number of processes.
        local_rank: number among those on this machine, which picks its GPU.
        store: that all of them reach, for this run alone.
    """

    def __init__(self, rank: int, size: int, local_rank: int, store: Store) -> None:
        self.rank = rank
        self.size = size
        self.local_rank = local_rank
        self.store = store
        self.started: Sequence[BaseProcess] = ()
        """The other processes, where process 0 started them itself."""
        self._said: set[str] = set()
        self._complete = True

    def say(self, word: str, yes: bool = True) -> None:
        """Answer, as process 0, a question of the others: `train`, `connect` or `ended`; what was said first stands."""
        if word not in self._said:
            self._said.add(word)
            self.store.set(word, "yes" if yes else "no")

    def hear(self, word: str) -> bool:
        """Wait, as another process, for what process 0 says. Raises ProcessLostError where it is gone."""
        try:
            self.store.wait([word], PATIENCE)
            return bool(self.store.get(word) == b"yes")
        except RuntimeError as error:
            raise ProcessLostError(self._lost()) from error

    @contextmanager
    def connected(self, device: torch.device) -> Iterator[None]:
        """Have torch's default process group for a while; all processes must come here with their parts built.

        Raises ProcessLostError where one does not come.
        """
        self._wait_for_all()
        backend = "nccl" if device.type == "cuda" else "gloo"
        group = PrefixStore("group", self.store)
        dist.init_process_group(backend, store=group, rank=self.rank, world_size=self.size, timeout=PATIENCE)
        try:
            yield
            # Closing a connection may cost another process what it has not read yet.
            self.store.set(f"through {self.rank}", "")
            with suppress(RuntimeError):
                everyone = [f"through {rank}" for rank in range(self.size)]
                self.store.wait(everyone, timedelta(seconds=SECONDS_TO_LEAVE))
        finally:
            dist.destroy_process_group()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Let process 0 know of what is raised in another one, and say in its ProcessLostError which, and why."""
        try:
            yield
        except ProcessLostError as error:
            raise ProcessLostError(self._lost()) from error
        except Exception:
            if self.rank > 0:
                with suppress(RuntimeError):
                    self.store.set("error", f"process {self.rank} of {self.size} failed: {traceback.format_exc()}")
            raise

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """Let nobody wait for this process longer than the context lasts."""
        try:
            yield
        finally:
            others = [f"left {rank}" for rank in range(1, self.size)]
            with suppress(RuntimeError):  # where one is gone, there is nobody to wait for
                if self.rank == 0:
                    for word, yes in (("train", False), ("connect", False), ("ended", True)):
                        self.say(word, yes)
                    # The store of the others lives in this process.
                    if self._complete:
                        self.store.wait(others, timedelta(seconds=SECONDS_TO_LEAVE))
                else:
                    self.store.set(others[self.rank - 1], "")

    def _wait_for_all(self) -> None:
        if self.rank > 0:
            self.store.set(f"here {self.rank}", "")
            if not self.hear("connect"):
                raise ProcessLostError(self._lost())
            return
        end = time.monotonic() + PATIENCE.total_seconds()
        while not self.store.check([f"here {rank}" for rank in range(1, self.size)]):
            if self._known_loss() is not None or time.monotonic() > end:
                raise ProcessLostError(self._lost())
            time.sleep(0.02)
        self.say("connect")

    def _lost(self) -> str:
        """Tell which process is gone, and why, once that can be known."""
        self._complete = False
        if self.rank > 0:
            return f"process 0 of {self.size} is gone or ended the run; its log says why"
        end = time.monotonic() + 2  # a connection breaks before its process has quite ended
        while (known := self._known_loss()) is None and time.monotonic() < end:
            time.sleep(0.02)
        return known or f"one of the {self.size} processes is gone; its own output says why"

    def _known_loss(self) -> str | None:
        if self.store.check(["error"]):
            return str(self.store.get("error").decode().strip())
        for rank, process in enumerate(self.started, start=1):
            if not process.is_alive():
                return f"process {rank} of {self.size}, {end_of(process)}"
        return None


def joined(processes: int, run_id: str) -> Rendezvous | None:
    """Return the place that the environment gives this process in a run; None where it gives none.

    Raises ConfigurationError where the environment and the config tell different numbers of processes, and where
    the others cannot be reached.
    """
    if not all(os.environ.get(name) for name in VARIABLES):
        return None
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if size != processes:
        raise ConfigurationError(
            f"WORLD_SIZE={size} in the environment, but accelerator.processes={processes}: give both one number, with"
            f" accelerator=ddp accelerator.processes={size}, or unset {', '.join(VARIABLES)}"
        )
    _asked[run_id] += 1
    store = PrefixStore(f"{run_id} {_asked[run_id]}", _common_store())
    return Rendezvous(rank, size, int(os.environ.get("LOCAL_RANK", rank)), store)


@functools.cache
def _common_store() -> Store:
    """Connect once to what all runs of this process go through; process 0 serves it, unless torchrun does."""
    try:
        store, _, _ = next(rendezvous("env://"))
    except RuntimeError as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise ConfigurationError(f"no rendezvous at {place} (MASTER_ADDR:MASTER_PORT): {error}") from error
    assert isinstance(store, Store)
    return store
