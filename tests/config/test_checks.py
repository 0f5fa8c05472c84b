"""The checks of a config that need nothing but the config."""

import pytest

import normlab
from normlab.errors import ConfigurationError
from normlab.training.build import build


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+lr=0.1", "nothing reads the key lr: choose one of seed, batch_size"),
        ("+accelerator.cores=2", "nothing reads the key accelerator.cores: choose one of kind"),
        ("+report.title=x", "nothing reads the key report.title: choose one of source"),
        ("+observe.val.last=2", "nothing reads observe.val.last: choose first, every or unless"),
    ],
)
def test_a_key_that_nothing_reads_is_refused_with_those_that_are_read(override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        normlab.compose(override)


def test_a_module_that_is_not_found_is_named_once_with_the_way_to_get_it(caplog: pytest.LogCaptureFixture) -> None:
    message = "No module named 'mine': install it, or add its folder to PYTHONPATH"
    with pytest.raises(ConfigurationError, match=f"normalizer._target_=mine.Layer cannot be imported: {message}"):
        build(normlab.compose("data=digits", "normalizer._target_=mine.Layer").settings)
    assert not caplog.records


@pytest.mark.parametrize("override", ["optimizer.lr=nan", "optimizer.lr=inf", "+model.slopes=[1,nan]"])
def test_a_number_that_is_none_is_refused(override: str) -> None:
    with pytest.raises(ConfigurationError, match="is no finite number"):
        normlab.compose(override)


@pytest.mark.parametrize(
    "published",
    [
        "{none: 0.9}",
        "{none: {val/accuracy: high}}",
        "{none: {curves: {val/loss: [1]}}}",
        "{none: {curves: {a: {end: 1}}}}",
    ],
)
def test_published_figures_of_another_form_are_refused(published: str) -> None:
    with pytest.raises(ConfigurationError, match=r"published\.none=.* is not of the form METRIC: NUMBER"):
        normlab.compose(f"+published={published}")


def test_infinity_is_a_number_where_it_can_be_meant_as_one() -> None:
    assert normlab.compose("+model.order=inf").settings["model"]["order"] == float("inf")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("precision=bf16-mixed", "accelerator.precision"),
        ("devices=2", "accelerator.processes"),
        ("accelerator=gpu", "accelerator.kind"),
        ("max_epochs=2", "steps"),
        ("logger=false", "loggers.NAME"),
        ("val_check_interval=10", "observe.NAME.first"),
        ("deterministic=true", "accelerator.deterministic"),
    ],
)
def test_an_argument_of_the_trainer_that_contradicts_the_record_is_refused_with_the_key_to_use(
    override: str, key: str
) -> None:
    with pytest.raises(
        ConfigurationError, match=f"would contradict the record, the steps or the schedules of a run: .*{key}"
    ):
        normlab.compose(f"+trainer.{override}")


@pytest.mark.parametrize("key", ["observe", "evaluate", "seed", "output_root", "callbacks"])
def test_a_key_that_every_run_needs_cannot_be_deleted(key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the key {key} was deleted, and every run needs it: set it instead"):
        normlab.compose(f"~{key}")
