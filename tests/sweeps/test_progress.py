"""The progress of a sweep by runs and steps, from their directories alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from normlab.config.compose import compose
from normlab.runs.record import Status
from normlab.runs.run import Run
from normlab.sweeps.progress import Progress, Watch, is_news

STEPS = 1_000


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    return [compose("data=digits", f"steps={STEPS}", f"seed={seed}", f"output_root={tmp_path}") for seed in range(4)]


def write_record(run: Run, status: Status) -> None:
    run.directory.path.mkdir(parents=True, exist_ok=True)
    run.directory.write(replace(run.new_record(), status=status))


def write_metrics(run: Run, step: int) -> None:
    run.directory.path.mkdir(parents=True, exist_ok=True)
    run.directory.metrics.write_text(f"step,name,value\n{step},loss,0.5\n{step + 1},lo")


def test_a_sweep_of_one_long_run_shows_its_steps_and_the_time_left_before_it_ends(runs: list[Run]) -> None:
    watch = Watch(runs[:1], total=1)
    with runs[0].own() as steps:
        write_record(runs[0], "running")
        assert str(watch.look(1)) == "0 done, 1 running, 0 failed, 0 skipped of 1 runs; 0 of 1,000 steps"
        made = iter([0, 250])
        steps.start(lambda: next(made))
        steps.note()
        line = "0 done, 1 running, 0 failed, 0 skipped of 1 runs; 250 of 1,000 steps, about 3 min left"
        assert str(watch.look(60)) == line


def test_runs_that_are_done_running_failed_and_waiting_share_one_estimate(runs: list[Run]) -> None:
    watch = Watch(runs, total=6)
    write_record(runs[0], "finished")
    write_record(runs[1], "failed")
    write_metrics(runs[1], 100)
    with runs[2].own() as steps:
        write_record(runs[2], "running")
        made = iter([0, 400])
        steps.start(lambda: next(made))
        steps.note()
        # 1,500 steps in 30 seconds; 600 and 1,000 are left, those of the failed run are not.
        assert watch.look(30) == Progress(1, 1, 1, 2, 6, steps=1_500, planned=4_000, seconds_left=32)


def test_a_resumed_run_counts_from_where_it_resumes_and_its_earlier_steps_took_no_time(runs: list[Run]) -> None:
    write_record(runs[0], "running")
    write_metrics(runs[0], 700)
    watch = Watch(runs[:1], total=1)
    assert watch.look(1) == Progress(0, 0, 0, 0, 1, steps=700, planned=STEPS, seconds_left=None)
    with runs[0].own() as steps:
        write_record(runs[0], "running")
        write_metrics(runs[0], 600)  # the checkpoint is older than the last row
        assert watch.look(5) == Progress(0, 1, 0, 0, 1, steps=600, planned=STEPS, seconds_left=None)
        made = iter([640, 650])  # and younger than the row before it
        steps.start(lambda: next(made))
        steps.note()
        assert watch.look(10) == Progress(0, 1, 0, 0, 1, steps=650, planned=STEPS, seconds_left=350)


def test_steps_that_another_process_made_before_the_sweep_took_none_of_its_time(runs: list[Run]) -> None:
    with runs[0].own() as steps:
        write_record(runs[0], "running")
        made = iter([0, 600, 700])
        steps.start(lambda: next(made))
        steps.note()
        watch = Watch(runs[:1], total=1)
        steps.note()
        assert watch.look(10) == Progress(0, 1, 0, 0, 1, steps=700, planned=STEPS, seconds_left=30)


def test_what_an_earlier_sweep_left_is_not_taken_for_this_one(runs: list[Run]) -> None:
    forced = replace(runs[0], settings={**runs[0].settings, "force": True})
    write_record(forced, "finished")
    write_metrics(forced, STEPS)
    write_record(runs[1], "failed")
    watch = Watch([forced, runs[1]], total=2)
    assert watch.look(1) == Progress(0, 0, 0, 0, 2, steps=0, planned=2 * STEPS, seconds_left=None)
    forced.directory.move_aside()
    write_record(forced, "finished")
    assert watch.look(10) == Progress(1, 0, 0, 0, 2, steps=STEPS, planned=2 * STEPS, seconds_left=10)


def test_a_log_gets_a_line_for_each_change_of_runs_and_one_a_minute_for_steps() -> None:
    shown = Progress(0, 1, 0, 0, 2, steps=100, planned=2_000, seconds_left=30)
    assert is_news(shown, None, 0)
    assert is_news(replace(shown, running=2), shown, 1)
    assert not is_news(replace(shown, steps=200), shown, 59)
    assert is_news(replace(shown, steps=200), shown, 60)
    assert not is_news(replace(shown, seconds_left=20), shown, 60)


@pytest.mark.parametrize(
    ("seconds", "text"), [(40, "40 s"), (59.7, "60 s"), (89, "1 min"), (200, "3 min"), (7_500, "2 h 5 min")]
)
def test_the_time_left_is_as_exact_as_it_is_useful(seconds: float, text: str) -> None:
    assert str(Progress(0, 1, 0, 0, 1, 1, 2, seconds)).endswith(f"1 of 2 steps, about {text} left")
