"""What variants are called, in which order they stand, and what they are compared with."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.report.variants import (
    Label,
    choose_baseline,
    derive_labels,
    format_label,
    parse_number,
    sort_labels,
)
from normlab.runs.identity import flatten, identify

of_every_case = settings(deadline=None, max_examples=100)


def config(normalizer: str = "none", lr: float = 0.1, seed: int = 0, **more: Any) -> dict[str, Any]:
    return {"seed": seed, "normalizer": {"_target_": normalizer}, "optimizer": {"lr": lr}, **more}


def names(*configs: Mapping[str, Any], **choices: list[str]) -> list[str]:
    chosen = choices or {"normalizer": [one["normalizer"]["_target_"] for one in configs]}
    rows = [dict(zip(chosen, values, strict=True)) for values in zip(*chosen.values(), strict=True)]
    return [format_label(label) for label in derive_labels(configs, rows)]


# Labels and names


def test_variants_are_named_by_the_normalizer_alone_where_nothing_else_differs() -> None:
    assert names(config(seed=0), config(seed=1), config("batch")) == ["none", "none", "batch"]


def test_a_key_that_differs_within_a_choice_is_named_beside_it() -> None:
    assert names(config(), config(lr=0.2), config("batch")) == [
        "normalizer=none, optimizer.lr=0.1",
        "normalizer=none, optimizer.lr=0.2",
        "normalizer=batch, optimizer.lr=0.1",
    ]


def test_runs_that_differ_in_nothing_have_no_label() -> None:
    assert derive_labels([config(seed=0), config(seed=1)], [{"normalizer": "none"}] * 2) == [{}, {}]
    assert derive_labels([config()], [{"normalizer": "none"}]) == [{}]
    assert derive_labels([], []) == []
    assert format_label({}) == ""


def test_one_factor_that_is_not_the_normalizer_is_named_with_its_key() -> None:
    assert names(config(lr=0.1), config(lr=0.2)) == ["optimizer.lr=0.1", "optimizer.lr=0.2"]


def test_choices_of_groups_come_before_further_keys() -> None:
    configs = [config(lr=0.1), config(lr=0.2), config("batch", lr=0.1)]
    labels = derive_labels(configs, [{"model": "mlp", "normalizer": one["normalizer"]["_target_"]} for one in configs])
    assert [list(label) for label in labels] == [["normalizer", "optimizer.lr"]] * 3


def test_a_key_that_follows_from_a_choice_is_left_out() -> None:
    made = [
        config() | {"normalizer": {"_target_": "N"}},
        config() | {"normalizer": {"_target_": "BN", "momentum": 0.9}},
        config() | {"normalizer": {"_target_": "BN", "momentum": 0.1}},
    ]
    assert derive_labels(made, [{"normalizer": name} for name in ("none", "batch", "slow")]) == [
        {"normalizer": "none"},
        {"normalizer": "batch"},
        {"normalizer": "slow"},
    ]


def test_a_key_that_goes_along_with_another_one_is_left_out_and_one_that_does_not_is_named() -> None:
    along = [config(lr=lr, steps=steps) for lr, steps in ((0.1, 10), (0.2, 20))]
    assert names(*along) == ["optimizer.lr=0.1", "optimizer.lr=0.2"]
    crossed = [*along, config(lr=0.1, steps=20)]
    assert names(*crossed) == ["optimizer.lr=0.1, steps=10", "optimizer.lr=0.2, steps=20", "optimizer.lr=0.1, steps=20"]


def test_a_key_that_only_some_runs_have_is_a_dash_for_the_others() -> None:
    made = [config(), config() | {"optimizer": {"lr": 0.1, "momentum": 0.9}}]
    assert derive_labels(made, [{"normalizer": "none"}] * 2) == [
        {"optimizer.momentum": "–"},
        {"optimizer.momentum": "0.9"},
    ]
    assert derive_labels([config(), config()], [{}, {"data": "mnist"}]) == [{"data": "–"}, {"data": "mnist"}]


@pytest.mark.parametrize(
    "changed",
    [
        {"output_root": "elsewhere"},
        {"force": True},
        {"data": {"root": "elsewhere"}},
        {"published": {"none": {"test/accuracy": 0.9}}},
        {"report": {"threshold": 0.9}},
        {"by_normalizer": {"none": {"lr": 1}}},
        {"sync_statistics": False},
        {"seed": 7},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_keys_that_cannot_change_a_result_make_no_variants(changed: dict[str, Any]) -> None:
    made = [config(data={"root": "data"}), config(data={"root": "data"}) | changed]
    assert derive_labels(made, [{"normalizer": "none"}] * 2) == [{}, {}]


def test_the_experiment_that_runs_were_asked_for_by_makes_no_variants() -> None:
    chosen = [{"experiment": name, "normalizer": "none"} for name in ("one", "other")]
    assert derive_labels([config(), config()], chosen) == [{}, {}]


def test_equal_numbers_written_differently_are_one_value_as_they_are_one_run() -> None:
    assert names(config(lr=1), config(lr=1.0), config(lr=0.5)) == [
        "optimizer.lr=1",
        "optimizer.lr=1",
        "optimizer.lr=0.5",
    ]


def test_the_precision_is_named_also_where_it_follows_from_the_normalizer() -> None:
    made = [{"seed": 0, "accelerator": {"precision": precision}} for precision in ("32-true", "bf16-mixed")]
    labels = derive_labels(made, [{"normalizer": name} for name in ("none", "batch")])
    assert [format_label(label) for label in labels] == [
        "normalizer=none, accelerator.precision=32-true",
        "normalizer=batch, accelerator.precision=bf16-mixed",
    ]


def test_a_config_is_flattened_to_dotted_keys() -> None:
    assert flatten({"seed": 1, "a": {"b": {"c": 0.5}, "d": None}, "e": [1, 2]}) == {
        "seed": 1,
        "a.b.c": 0.5,
        "a.d": None,
        "e": [1, 2],
    }


@st.composite
def ablations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw configs whose normalizers bring keys of their own, with other keys free or without effect."""
    normalizers: dict[str, dict[str, Any]] = {
        "none": {"_target_": "none"},
        "batch": {"_target_": "batch", "momentum": 0.9},
        "slow": {"_target_": "batch", "momentum": 0.99},
    }
    found = []
    for _ in range(draw(st.integers(1, 7))):
        name = draw(st.sampled_from(list(normalizers)))
        found.append(
            {
                "seed": draw(st.integers(0, 2)),
                "normalizer": normalizers[name],
                "model": {"_target_": draw(st.sampled_from(["mlp", "convnet"]))},
                "optimizer": {"lr": draw(st.sampled_from([0.1, 1, 1.0])), "decay": draw(st.sampled_from([None, 0.5]))},
                "accelerator": {"processes": draw(st.integers(1, 2))},
                "sync_statistics": draw(st.booleans()),
                "output_root": draw(st.sampled_from(["outputs", "elsewhere"])),
                "report": {"threshold": draw(st.sampled_from([None, 0.9]))},
            }
        )
    return found


def choices_of(one: Mapping[str, Any]) -> dict[str, str]:
    momentum = one["normalizer"].get("momentum")
    return {"model": one["model"]["_target_"], "normalizer": {None: "none", 0.9: "batch", 0.99: "slow"}[momentum]}


@given(ablations())
@of_every_case
def test_two_runs_have_one_label_just_where_their_configs_differ_in_the_seed_alone(made: list[dict[str, Any]]) -> None:
    labels = derive_labels(made, [choices_of(one) for one in made])
    kept = [{key: value for key, value in identify(one).items() if key != "seed"} for one in made]
    for one, its_label in zip(kept, labels, strict=True):
        for other, other_label in zip(kept, labels, strict=True):
            assert (its_label == other_label) == (one == other)
            assert (format_label(its_label) == format_label(other_label)) == (one == other)


@given(ablations())
@of_every_case
def test_every_factor_of_a_label_tells_variants_apart_that_those_before_it_do_not(made: list[dict[str, Any]]) -> None:
    labels = derive_labels(made, [choices_of(one) for one in made])
    assert len({tuple(label) for label in labels}) == 1
    for count in range(len(labels[0])):
        without = {tuple(label.items())[:count] for label in labels}
        assert len({tuple(label.items())[: count + 1] for label in labels}) > len(without)


@given(ablations(), st.randoms())
@of_every_case
def test_the_order_of_the_runs_does_not_change_which_of_them_share_a_variant(
    made: list[dict[str, Any]], random: Any
) -> None:
    order = random.sample(range(len(made)), len(made))
    labels = derive_labels(made, [choices_of(one) for one in made])
    shuffled = derive_labels([made[place] for place in order], [choices_of(made[place]) for place in order])
    for one, place in enumerate(order):
        for other, rival in enumerate(order):
            assert (shuffled[one] == shuffled[other]) == (labels[place] == labels[rival])


# Order


def by_lr(*values: str) -> list[Label]:
    return [{"optimizer.lr": value} for value in values]


def test_numbers_are_sorted_as_numbers_and_words_behind_them() -> None:
    found = sort_labels(by_lr("10", "auto", "9", "1e-3", "–", "0.5"), {})
    assert [label["optimizer.lr"] for label in found] == ["1e-3", "0.5", "9", "10", "auto", "–"]


def test_the_baseline_comes_first_even_where_it_is_not_the_smallest() -> None:
    assert sort_labels(by_lr("0.1", "0.2", "0.05"), {"optimizer.lr": "0.2"}) == by_lr("0.2", "0.05", "0.1")


def test_variants_are_sorted_factor_by_factor_with_the_baseline_first_in_each_group() -> None:
    labels = [{"normalizer": name, "lr": lr} for lr in ("10", "9") for name in ("batch", "none")]
    assert [(label["normalizer"], label["lr"]) for label in sort_labels(labels, {"normalizer": "none"})] == [
        ("none", "9"),
        ("none", "10"),
        ("batch", "9"),
        ("batch", "10"),
    ]


def test_each_label_comes_once() -> None:
    assert sort_labels(by_lr("2", "1", "2"), {}) == by_lr("1", "2")


@pytest.mark.parametrize(
    ("text", "expected"), [("0.1", 0.1), ("1e-3", 0.001), ("-2", -2.0), ("tf_nn", None), ("–", None)]
)
def test_a_value_is_a_number_where_it_reads_as_one(text: str, expected: float | None) -> None:
    assert parse_number(text) == expected


# Baselines

NORMALIZERS: list[Label] = [{"normalizer": name} for name in ("none", "batch", "tf_nn")]
TWO_FACTORS: list[Label] = [
    {"normalizer": name, "optimizer.lr": lr} for name in ("none", "batch") for lr in ("0.1", "0.2")
]


def test_the_baseline_is_none_where_nothing_is_asked_for() -> None:
    assert choose_baseline(None, NORMALIZERS) == {"normalizer": "none"}
    assert choose_baseline(None, TWO_FACTORS) == {"normalizer": "none"}


def test_where_none_was_not_run_the_first_variant_is_the_baseline() -> None:
    assert choose_baseline(None, NORMALIZERS[1:]) == {"normalizer": "batch"}
    assert choose_baseline(None, by_lr("0.2", "0.1")) == {"optimizer.lr": "0.2"}
    assert choose_baseline(None, [{}]) == {}
    assert choose_baseline(None, []) == {}


def test_a_baseline_is_asked_for_by_the_name_of_a_normalizer_even_beside_other_factors() -> None:
    assert choose_baseline("batch", NORMALIZERS) == {"normalizer": "batch"}
    assert choose_baseline("batch", TWO_FACTORS) == {"normalizer": "batch"}


def test_a_baseline_is_asked_for_by_a_value_of_the_only_factor() -> None:
    assert choose_baseline("0.2", by_lr("0.1", "0.2")) == {"optimizer.lr": "0.2"}


def test_a_baseline_is_asked_for_by_keys_and_values() -> None:
    assert choose_baseline("optimizer.lr=0.2", TWO_FACTORS) == {"optimizer.lr": "0.2"}
    whole = {"normalizer": "batch", "optimizer.lr": "0.2"}
    assert choose_baseline("normalizer=batch, optimizer.lr=0.2", TWO_FACTORS) == whole


def test_every_name_that_the_table_prints_can_be_asked_for() -> None:
    for labels in (NORMALIZERS, TWO_FACTORS, by_lr("0.1", "0.2")):
        for label in labels:
            assert choose_baseline(format_label(label), labels) == label


@pytest.mark.parametrize("asked", ["tf_nm", "normalizer=none, optimizer.lr=0.3", "lr=0.1", "0.1", "none,batch", "="])
def test_a_baseline_that_nobody_is_raises_an_error_that_lists_the_choices(asked: str) -> None:
    with pytest.raises(ValueError, match="no variant is") as caught:
        choose_baseline(asked, TWO_FACTORS)
    assert str(caught.value) == (
        f"no variant is {asked!r}: choose among normalizer=none, optimizer.lr=0.1; normalizer=none, optimizer.lr=0.2;"
        " normalizer=batch, optimizer.lr=0.1; normalizer=batch, optimizer.lr=0.2"
    )


@pytest.mark.parametrize("asked", ["none", "normalizer=none"])
def test_asking_for_a_baseline_among_runs_without_labels_is_an_error_and_not_a_crash(asked: str) -> None:
    with pytest.raises(ValueError, match="no variant is"):
        choose_baseline(asked, [{}])
    with pytest.raises(ValueError, match="no variant is"):
        choose_baseline(asked, [])
