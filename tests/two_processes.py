"""Two processes with a process group between them, for tests of what is computed over both."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

Together = Callable[[Callable[..., Any], Sequence[Any]], list[Any]]
"""From a function and one argument per process to its values, called in both processes at once."""


@contextmanager
def two_processes() -> Iterator[Together]:
    context = multiprocessing.get_context("forkserver")
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    pipes, processes = [], []
    for rank in range(2):
        here, there = context.Pipe()
        pipes.append(here)
        processes.append(context.Process(target=_serve, args=(rank, store.port, there), daemon=True))
        processes[rank].start()
        there.close()

    def together(work: Callable[..., Any], arguments: Sequence[Any]) -> list[Any]:
        for pipe, argument in zip(pipes, arguments, strict=True):
            pipe.send((work, argument))
        values = [pipe.recv() for pipe in pipes]
        for value in values:
            if isinstance(value, Exception):
                raise value
        return values

    try:
        yield together
    finally:
        for process in processes:
            process.kill()
            process.join()


def _serve(rank: int, port: int, pipe: Connection) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=TCPStore("127.0.0.1", port, is_master=False), rank=rank, world_size=2)
    while True:
        work, argument = pipe.recv()
        try:
            value = work(argument)
        except Exception as error:
            value = error
        pipe.send(value)
