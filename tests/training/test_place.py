"""Variables of torchrun in the environment: complete, they name a process among several; left behind, nothing."""

import pytest

from normlab.errors import ConfigurationError
from normlab.training.data_parallel.place import VARIABLES, find_place

WHOLE = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        (WHOLE, (1, 2)),
        ({}, None),
        ({"WORLD_SIZE": "2"}, None),
        ({"RANK": "0", "WORLD_SIZE": "2"}, None),
        ({**WHOLE, "RANK": "0", "WORLD_SIZE": "1"}, None),
        ({**WHOLE, "WORLD_SIZE": ""}, None),
    ],
)
def test_only_a_whole_set_for_several_processes_counts(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], place: tuple[int, int] | None
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_place() == place


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE"])
def test_a_number_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in (WHOLE | {name: "a"}).items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"{name}=a in the environment is no number: unset RANK, WORLD_SIZE"):
        find_place()
