"""The place of this process among those that a launcher such as torchrun started, from the environment."""

import os

from normlab.errors import ConfigurationError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""As torch.distributed names them. Only some of them, as a shell may have left behind, say nothing."""


def find_place() -> tuple[int, int] | None:
    """Return the number of this process and the number of all, if there are several; else None.

    Raises ConfigurationError if a number is none.
    """
    values = {name: os.environ.get(name, "") for name in VARIABLES}
    if not all(values.values()):
        return None
    for name in ("RANK", "WORLD_SIZE"):
        if not values[name].isdecimal():
            names = ", ".join(VARIABLES)
            raise ConfigurationError(f"{name}={values[name]} in the environment is no number: unset {names}")
    rank, size = int(values["RANK"]), int(values["WORLD_SIZE"])
    return (rank, size) if size > 1 else None
