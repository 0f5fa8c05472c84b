"""One run from the command line: what it leaves, and that it leaves the same bytes each time."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import OmegaConf

from .conftest import LISTING_IMPORTS, Command, curves_of, imported, record_of

SMALL = ("data=digits", "steps=30", "observe.val.first=10", "observe.val.every=10", "observe.train_batch.first=15")

RECORD_KEYS = {
    "run_id",
    "experiment",
    "seed",
    "choices",
    "steps",
    "status",
    "metrics",
    "metrics_info",
    "seconds",
    "steps_per_second",
    "environment",
    "error",
}
"""What other programs rely on; the record may hold more."""


def test_a_run_leaves_its_record_config_curves_events_checkpoint_and_log(
    normlab: Command, runs: Callable[[str], list[Path]]
) -> None:
    finished = normlab(*SMALL, "normalizer=batch")
    assert finished.returncode == 0, finished.stderr
    (run,) = runs("single")
    assert run.name.startswith("mlp-batch-seed0-")
    names = {path.name.split(".")[0] if "tfevents" in path.name else path.name for path in run.iterdir()}
    files = {"run.json", "config.yaml", "metrics.csv", "inputs.npz", "events", "run.log", "owner.lock"}
    assert names == {*files, "checkpoints"}
    assert (run / "checkpoints" / "last.ckpt").stat().st_size > 0
    record = record_of(run)
    assert set(record) >= RECORD_KEYS
    assert record["status"] == "finished"
    assert record["run_id"] == run.name
    assert (record["experiment"], record["seed"], record["steps"]) == ("single", 0, 30)
    assert record["choices"]["normalizer"] == "batch"
    assert set(record["metrics"]) == {
        *(f"{split}/{metric}" for split in ("train", "val", "test") for metric in ("loss", "accuracy")),
        "test/one_by_one_accuracy",
    }
    assert record["environment"]["threads"] == 1
    assert OmegaConf.load(run / "config.yaml").steps == 30
    assert "test/accuracy" in (run / "run.log").read_text()
    curves = curves_of(run)
    assert list(curves["val/loss"]) == [10, 20, 30]
    assert list(curves["train_batch/loss"]) == [15]
    assert curves["test/accuracy"] == {30: record["metrics"]["test/accuracy"]}


def test_a_run_of_epochs_is_kept_as_the_one_of_as_many_steps(
    normlab: Command, runs: Callable[[str], list[Path]]
) -> None:
    finished = normlab(*(text for text in SMALL if not text.startswith("steps")), "epochs=0.1")
    assert finished.returncode == 0, finished.stderr
    (run,) = runs("single")
    assert record_of(run)["steps"] == 2
    kept = OmegaConf.load(run / "config.yaml")
    assert (kept.steps, kept.epochs) == (2, None)
    assert "is already finished" in normlab(*SMALL, "steps=2").stdout


def test_help_lists_the_choices_and_does_not_wait_for_torch(normlab: Command) -> None:
    finished = normlab("--help", **LISTING_IMPORTS)
    assert finished.returncode == 0
    (normalizers,) = (line for line in finished.stdout.splitlines() if line.startswith("normalizer: "))
    assert {"batch", "none", "tf_layers"} <= {*normalizers.partition(": ")[2].split(", ")}
    assert "normlab.config.checks" in imported(finished.stderr)
    assert not imported(finished.stderr) & {"torch", "pytorch_lightning", "numpy", "pandas"}


def test_a_pipe_sees_no_progress_bar_and_no_warning(normlab: Command) -> None:
    finished = normlab(*SMALL)
    assert finished.stderr == ""
    assert len(finished.stdout.splitlines()) == 2


def test_asking_again_for_a_finished_run_finds_it_finished(normlab: Command, runs: Callable[[str], list[Path]]) -> None:
    normlab(*SMALL)
    before = [path.stat().st_mtime_ns for path in sorted(runs("single")[0].rglob("*"))]
    again = normlab(*SMALL)
    assert again.returncode == 0
    assert "is already finished" in again.stdout
    assert [path.stat().st_mtime_ns for path in sorted(runs("single")[0].rglob("*"))] == before


def test_the_same_command_gives_the_same_metrics_to_the_byte(
    normlab: Command, runs: Callable[[str], list[Path]], tmp_path: Path
) -> None:
    command = ("experiment=demo", "hydra.mode=RUN", "normalizer=tf_nn", "seed=3", "steps=30")
    normlab(*command)
    normlab(*command, "output_root=elsewhere")
    (first,), (second,) = runs("demo"), list((tmp_path / "elsewhere" / "demo" / "runs").iterdir())
    assert first.name == second.name
    assert (first / "metrics.csv").read_bytes() == (second / "metrics.csv").read_bytes()
    assert record_of(first)["metrics"] == record_of(second)["metrics"]
