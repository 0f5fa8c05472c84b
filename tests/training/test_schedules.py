"""Schedules follow those of torch.optim.lr_scheduler, in whichever way a run is trained, and across interruptions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

import normlab
from normlab.errors import ConfigurationError
from normlab.runs.run import Run
from normlab.training.build import build
from normlab.training.schedules import Schedule, ScheduledRates, constant, cosine, linear, staircase

from ..integration.conftest import curves_of

MakeScheduler = Callable[[torch.optim.Optimizer, int], lr_scheduler.LRScheduler]
"""From an optimizer and the number of steps after the warm-up to torch's scheduler of them."""

REFERENCES: dict[str, tuple[Schedule, MakeScheduler]] = {
    "constant": (constant, lambda optimizer, rest: lr_scheduler.ConstantLR(optimizer, 1.0)),
    "cosine": (cosine, lambda optimizer, rest: lr_scheduler.CosineAnnealingLR(optimizer, rest)),
    "linear": (linear, lambda optimizer, rest: lr_scheduler.LinearLR(optimizer, 1.0, 0.0, rest)),
    "step": (
        staircase,
        lambda optimizer, rest: lr_scheduler.MultiStepLR(optimizer, [-(-rest // 2), -(-3 * rest // 4)]),
    ),
}


def rates_of_torch(make: MakeScheduler, steps: int, warmup: int) -> list[float]:
    """Rates for an initial one of 0.3."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    after = make(optimizer, max(steps - warmup, 1))
    if warmup > 1:
        before = lr_scheduler.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1)
        after = lr_scheduler.SequentialLR(optimizer, [before, after], [warmup])
    rates = []
    for step in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if warmup != 1 or step > 0:  # a warm-up of one step has the factor 1, and the rest begins after it
            after.step()
    return rates


@pytest.mark.parametrize("name", REFERENCES)
@settings(deadline=None)
@given(steps=st.integers(1, 120), part=st.floats(0, 1))
def test_every_schedule_is_that_of_torch_after_a_linear_warm_up(name: str, steps: int, part: float) -> None:
    schedule, reference = REFERENCES[name]
    warmup = round(part * steps)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    rates = ScheduledRates(optimizer, lambda step, steps: schedule(step, steps, warmup=warmup), steps)  # type: ignore[call-arg]
    found = []
    for step in range(steps):
        rates.set(step)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx(rates_of_torch(reference, steps, warmup), rel=1e-6, abs=1e-12)


def test_final_parts_milestones_and_gamma_are_those_of_torch() -> None:
    references: list[tuple[Schedule, MakeScheduler]] = [
        (
            lambda step, steps: cosine(step, steps, final=0.1),
            lambda each, rest: lr_scheduler.CosineAnnealingLR(each, rest, eta_min=0.03),
        ),
        (
            lambda step, steps: linear(step, steps, final=0.1),
            lambda each, rest: lr_scheduler.LinearLR(each, 1, 0.1, rest),
        ),
        (
            lambda step, steps: staircase(step, steps, milestones=[0.25, 0.5, 0.75], gamma=0.5),
            lambda each, rest: lr_scheduler.StepLR(each, rest // 4, 0.5),
        ),
    ]
    for schedule, reference in references:
        found = [0.3 * schedule(step, 40) for step in range(40)]
        assert found == pytest.approx(rates_of_torch(reference, 40, 0), rel=1e-9)


CALLBACK = "+callbacks.x._target_=pytorch_lightning.callbacks"


def compose(place: Path, *overrides: str) -> Run:
    return normlab.compose(
        *("data=digits", "batch_size=64", "steps=30", "normalizer=batch", "evaluate.one_by_one=0"),
        *("observe.val={first: 10, every: 10}", "observe.train_batch={first: 5, every: 5}"),
        f"output_root={place}",
        *overrides,
    )


def weights_of(run: Run) -> dict[str, Any]:
    network: dict[str, Any] = torch.load(run.directory.checkpoint, weights_only=True)["network"]
    return network


def test_a_run_ends_with_the_weights_of_a_loop_with_torchs_scheduler(tmp_path: Path) -> None:
    run = compose(tmp_path, "schedule=cosine", "schedule.warmup=8", "optimizer=momentum")
    normlab.train(run)
    module = build(compose(tmp_path, "optimizer=momentum").settings).module
    optimizer = module.make_optimizer(module.network.parameters())
    scheduler = lr_scheduler.SequentialLR(
        optimizer,
        [lr_scheduler.LinearLR(optimizer, 1 / 8, 1.0, 7), lr_scheduler.CosineAnnealingLR(optimizer, 22)],
        [8],
    )
    module.network.train()
    for inputs, targets in module.batches:
        optimizer.zero_grad()
        module.objective(module.network(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        scheduler.step()
    kept = weights_of(run)
    for name, value in module.network.state_dict().items():
        torch.testing.assert_close(kept[name], value, rtol=1e-4, atol=1e-6)


def test_callbacks_see_the_rate_of_each_step_from_the_start_of_its_batch(tmp_path: Path) -> None:
    chunks = compose(tmp_path, "schedule=linear", "schedule.warmup=3")
    monitor = f"{CALLBACK}.LearningRateMonitor"
    batches = compose(tmp_path, "schedule=linear", "schedule.warmup=3", monitor, "+trainer.log_every_n_steps=1")
    for each in (chunks, batches):
        assert normlab.train(each).status == "finished"
    assert all(torch.equal(value, weights_of(batches)[name]) for name, value in weights_of(chunks).items())
    seen = curves_of(batches.directory.path)["lr-SGD"]
    assert [*seen.values()] == pytest.approx([0.1 * linear(step, 30, warmup=3) for step in range(30)], rel=1e-12)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("schedule=cosine", "schedule.warmup=31"), r"schedule\.warmup=31 is out of range: choose 0 to 30, .*steps"),
        (("schedule.warmup=-1",), r"schedule\.warmup=-1 is out of range"),
        (("schedule=step", "schedule.milestones=[half]"), "schedule must give a number for a step and the number of"),
        (("schedule.warmup=few",), r"schedule\.warmup='few' has the wrong type: it is an integer"),
        (
            ("schedule=linear", f"{CALLBACK}.StochasticWeightAveraging", "+callbacks.x.swa_lrs=0.1"),
            r"callbacks\.x and schedule would both set the learning rate: choose schedule=constant",
        ),
        (("schedule=step", "accelerator.cuda_graph=true"), r"accelerator\.cuda_graph records the learning rate"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        normlab.train(compose(tmp_path, *overrides))
    assert list(tmp_path.iterdir()) == []
