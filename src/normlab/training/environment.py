"""Code, versions and machine of a run, for its record; never part of its identity."""

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = {
    "torch": "torch",
    "lightning": "pytorch-lightning",
    "hydra": "hydra-core",
    "omegaconf": "omegaconf",
    "numpy": "numpy",
    "tensorboard": "tensorboard",
}


def describe_environment(device: torch.device, precision: str, processes: int) -> dict[str, Any]:
    """Return the `environment` of a record, as JSON data."""
    commit = _git("rev-parse", "HEAD")
    return {
        "git_commit": commit,
        "git_dirty": bool(_git("status", "--porcelain")) if commit else None,
        "normlab": metadata.version("normlab"),
        "python": platform.python_version(),
        **{name: metadata.version(package) for name, package in PACKAGES.items()},
        "platform": platform.platform(),
        "cpu": _read_processor(),
        "host": platform.node(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": precision,
        "threads": torch.get_num_threads(),
        "processes": processes,
    }


@functools.cache
def _read_processor() -> str:
    """Return the model of the processor, on whose instructions the last digits of a result can depend."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(models, platform.machine())}, {torch.backends.cpu.get_cpu_capability()}"


@functools.cache  # of the code as it was when this process loaded it
def _git(*arguments: str) -> str | None:
    """Ask git about the checkout of this package; return None if there is none."""
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
