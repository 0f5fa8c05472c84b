"""The identity of a run, and the configs that are shipped."""

import copy

import pytest

from normlab.config.compose import compose, config_directory
from normlab.errors import ConfigurationError
from normlab.runs.identity import run_id

from ..choices import TINY, choices_of


def identify(*overrides: str) -> str:
    return compose(*overrides).id


def test_a_run_id_is_a_readable_slug_and_eight_hex_digits() -> None:
    slug, digest = identify("data=digits").rsplit("-", 1)
    assert slug == "mlp-none-seed0"
    assert len(digest) == 8
    assert int(digest, 16) >= 0


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "steps=9",
        "augmentation=crop_flip",
        "sampler=by_class",
        "optimizer.lr=0.2",
        "accelerator.threads=2",
        "observe.val.every=7",
        "model.hidden=[5]",
    ],
)
def test_a_key_that_can_change_the_result_changes_the_run_id(override: str) -> None:
    assert identify("data=digits", override) != identify("data=digits")


@pytest.mark.parametrize(
    "override", ["data.root=/elsewhere", "output_root=/elsewhere", "+published.none.loss=1", "report.threshold=0.5"]
)
def test_a_key_that_cannot_change_the_result_leaves_the_run_id(override: str) -> None:
    assert identify("data=mnist", override) == identify("data=mnist")


@pytest.mark.parametrize(
    "overrides", [("data=digits",), ("experiment=deep_cnn", "normalizer=tf_nn", "seed=3")], ids=str
)
def test_one_process_adds_nothing_to_the_name_of_a_run(overrides: tuple[str, ...]) -> None:
    expected = identify(*overrides)
    assert identify(*overrides, "accelerator.processes=1", "sync_statistics=false") == expected
    assert identify(*overrides, "accelerator.cuda_graph=false", "accelerator.deterministic=false") == expected
    assert identify(*overrides, "accelerator.cuda_graph=true") != expected
    assert identify(*overrides, "accelerator.deterministic=true") != expected


def test_of_several_processes_their_number_and_the_synchronization_of_statistics_change_the_run_id() -> None:
    runs = [
        ("accelerator.processes=2",),
        ("accelerator.processes=4",),
        ("accelerator.processes=2", "sync_statistics=false"),
    ]
    assert len({identify("data=digits"), *(identify("data=digits", *overrides) for overrides in runs)}) == 4


def test_equal_numbers_written_differently_are_the_same_run() -> None:
    assert identify("data=digits", "optimizer.lr=1") == identify("data=digits", "optimizer.lr=1.0")


def test_the_order_of_keys_does_not_matter() -> None:
    run = compose("data=digits")
    turned = dict(reversed(list(copy.deepcopy(dict(run.settings)).items())))
    assert run_id(turned, run.choices) == run.id


def test_runs_lie_below_their_experiment_or_below_single() -> None:
    assert compose("data=digits").directory.path.parts[:3] == ("outputs", "single", "runs")
    named = compose("data=digits", "name=widths")
    assert named.directory.path.parts[:3] == ("outputs", "widths", "runs")
    assert named.id == compose("data=digits").id
    assert compose("experiment=demo", "hydra.mode=RUN").directory.path.parts[:3] == ("outputs", "demo", "runs")


@pytest.mark.parametrize("experiment", choices_of("experiment"))
def test_an_experiment_opens_with_what_it_shows_its_source_cost_and_command(experiment: str) -> None:
    text = (config_directory() / "experiment" / f"{experiment}.yaml").read_text()
    head = [line for line in text.splitlines() if line.startswith("# ")]
    for start in ("# Shows: ", "# Source: ", "# Cost: ", f"# Command: normlab experiment={experiment}"):
        assert any(line.startswith(start) for line in head)


@pytest.mark.parametrize("experiment", choices_of("experiment"))
def test_an_experiment_sweeps_normalizers_over_seeds_by_itself(experiment: str) -> None:
    run = compose(f"experiment={experiment}")
    assert run.settings["seed"] == 0
    assert run.experiment == experiment


def test_only_the_convolutions_of_tf_nn_start_from_the_truncated_normal() -> None:
    initializers = {
        variant: compose("experiment=deep_cnn", f"normalizer={variant}").settings["convolution_initializer"]
        for variant in ("none", "tf_layers", "tf_nn", "batch")
    }
    assert initializers.pop("tf_nn") == {"_target_": "normlab.models.TruncatedNormal", "std": 0.05}
    assert set(initializers.values()) == {None}


@pytest.mark.parametrize(
    ("group", "choice"),
    [
        (group, choice)
        for group in (
            "preprocessing",
            "augmentation",
            "sampler",
            "model",
            "normalizer",
            "initializer",
            "reparametrization",
            "objective",
            "optimizer",
            "schedule",
            "gradient",
            "trainable",
            "accelerator",
        )
        for choice in choices_of(group)
    ],
)
def test_every_shipped_choice_composes_and_passes_its_own_checks(group: str, choice: str) -> None:
    needed = TINY.get(choice, ()) if group == "model" else ()
    run = compose("data=digits", f"{group}={choice}", *needed)
    assert run.choices[group] == choice
    assert run.settings[group]


def test_a_missing_value_is_named() -> None:
    with pytest.raises(ConfigurationError, match="steps"):
        compose("steps=???")
