"""The table at the end of a sweep: what it calls the variants, and what stands in it."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

from normlab.records import Record
from normlab.report.summary import Finished, print_summary, variants


def finished(seed: int, normalizer: str = "none", lr: float = 0.1, accuracy: float = 0.5, **more: Any) -> Finished:
    settings = {"seed": seed, "normalizer": {"_target_": normalizer}, "optimizer": {"lr": lr}}
    record = Record(
        run_id=f"mlp-{normalizer}-seed{seed}-00000000",
        experiment="single",
        seed=seed,
        choices={"normalizer": normalizer},
        steps=1,
        status="finished",
        metrics={"test/accuracy": accuracy},
        **more,
    )
    return settings, record


def printed(runs: list[Finished]) -> str:
    out = io.StringIO()
    print_summary(runs, Path("outputs/x"), out)
    return out.getvalue()


def test_variants_are_named_by_the_normalizer_alone_where_nothing_else_differs() -> None:
    grouped = variants([finished(0), finished(1), finished(0, "batch")])
    assert {name: [record.seed for record in records] for name, records in grouped.items()} == {
        "none": [0, 1],
        "batch": [0],
    }


def test_a_key_that_differs_within_a_choice_is_named_beside_it() -> None:
    grouped = variants([finished(0), finished(0, lr=0.2), finished(0, "batch")])
    assert list(grouped) == [
        "normalizer=none, optimizer.lr=0.1",
        "normalizer=none, optimizer.lr=0.2",
        "normalizer=batch, optimizer.lr=0.1",
    ]


def test_one_variant_alone_is_named_by_its_run_id() -> None:
    assert list(variants([finished(0), finished(1)])) == ["mlp-none"]


def test_the_table_has_mean_deviation_and_published_figure() -> None:
    published = {"none": {"test/accuracy": 0.75}}
    text = printed([finished(0, accuracy=0.5, published=published), finished(1, accuracy=0.7, published=published)])
    assert "0.6000 ± 0.1414" in text
    assert "0.7500" in text
    assert "tensorboard --logdir outputs/x" in text


def test_one_seed_has_no_deviation() -> None:
    assert "±" not in printed([finished(0)]).splitlines()[4]


def test_the_report_imports_neither_torch_nor_lightning() -> None:
    program = "import sys, normlab.report.summary; print({'torch', 'pytorch_lightning'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
