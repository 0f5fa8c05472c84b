"""The shipped choices of each config group, so that tests cover a new one without being told of it."""

from normlab.config.compose import config_directory


def choices_of(group: str) -> list[str]:
    """Return the choices of a config group."""
    return sorted(path.stem for path in (config_directory() / group).glob("*.yaml"))
