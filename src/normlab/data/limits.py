"""The memory that data may take."""

import torch

from normlab.data.download import DataError
from normlab.processes.memory import find_free_memory


def require_memory(needed: int, what: str, remedy: str, device: torch.device | None = None) -> None:
    """Raise DataError, with size and remedy, if data take more bytes than are free, on a GPU if one is given."""
    is_gpu = device is not None and device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if is_gpu else find_free_memory()
    if free is not None and needed > free:
        place = f"the memory of {device}" if is_gpu else "memory"
        raise DataError(f"{what} take {_format(needed)} of {place}, of which {_format(free)} are free: {remedy}")


def _format(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
