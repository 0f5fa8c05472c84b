"""The cores and GPUs of this machine, shared out among the runs of a sweep."""

import os

from normlab.processes.children import has_cpu_build


def count_concurrent_runs(processes: int) -> int:
    """Return for how many runs of so many processes each the cores of this process suffice, at least 1."""
    # macOS does not say which cores a process may use.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // processes)


def assign_gpus(kind: str, processes: int) -> list[str]:
    """Return the `CUDA_VISIBLE_DEVICES` of each worker: as many GPUs as a run has processes.

    Empty if runs use the CPU, or there is no GPU.
    """
    if kind == "cpu" or has_cpu_build():
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    gpus = visible.split(",")
    return [",".join(gpus[start : start + processes]) for start in range(0, len(gpus) - processes + 1, processes)]
