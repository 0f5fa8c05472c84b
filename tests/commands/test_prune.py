"""Only what no report needs is removed, and only if asked to."""

import sys
from pathlib import Path

import pytest

from normlab.commands.prune import main
from normlab.report.build import build
from normlab.report.tensorboard import create_scalars, write_event_file
from normlab.runs.directory import RunDirectory

from ..report.made_runs import make_run


def prune(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["normlab-prune", *arguments])
    main()


def add_checkpoint(run: Path) -> Path:
    checkpoint = RunDirectory(run).checkpoint
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"0" * 1000)
    return checkpoint


def add_events(run: Path, *steps: int) -> Path:
    before = set(run.glob("events*"))
    write_event_file(run, 0.0, [create_scalars(step, {"val/accuracy": 0.5}) for step in steps])
    (file,) = set(run.glob("events*")) - before
    return file


def list_files(place: Path) -> set[Path]:
    return {path for path in place.rglob("*") if path.is_file() and "report" not in path.parts}


def test_what_no_report_needs_is_listed_and_removed_if_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, stopped, old = (make_run(tmp_path / "e", "none", seed) for seed in range(3))
    interrupted = make_run(tmp_path / "e", "batch", status="interrupted")
    aside = RunDirectory(old).move_aside()
    unneeded = {add_checkpoint(ended), add_checkpoint(stopped), *aside.iterdir()}
    unneeded.add(add_events(ended, 10, 20, 30))  # a later start has made all of these steps again
    kept = {add_events(ended, 10, 20, 30, 40), add_checkpoint(interrupted)}
    kept |= {add_events(stopped, 10, 20), add_events(stopped, 20, 30)}  # and here two of three
    everything = list_files(tmp_path)

    prune(monkeypatch, str(tmp_path / "e"))
    assert "--yes removes it" in capsys.readouterr().out
    assert list_files(tmp_path) == everything

    prune(monkeypatch, str(tmp_path / "e"), "--yes")
    assert list_files(tmp_path) == everything - unneeded
    assert kept <= everything - unneeded
    ablation, _ = build([tmp_path / "e"])
    assert {run.id for run in ablation.results.details} == {ended.name, stopped.name, interrupted.name}


def test_a_place_that_is_no_directory_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        prune(monkeypatch, "nowhere")
    assert ended.value.code == 2
    assert "nowhere is not a directory" in capsys.readouterr().err
