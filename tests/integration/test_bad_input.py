"""Whatever a user can get wrong ends in one clear message, exit status 1 and no trace in outputs/."""

from pathlib import Path

import pytest
import torch

from .conftest import LISTING_IMPORTS, Command, imported

DIGITS = "data=digits"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sedd=1"], "Key 'sedd' not in 'Config'"),
        (["normalizer.momentun=0.1", "normalizer=batch"], "Key 'momentun' is not in struct"),
        (["steps=many"], "Value 'many' of type 'str' could not be converted to Integer"),
        (["normalizer=layers"], "Could not find 'normalizer/layers'"),
        (["steps=5", "epochs=2"], "steps=5 and epochs=2 are both set: set one of them, and the other to null"),
        (["epochs=0"], "epochs=0 is out of range: choose a number above 0"),
        (["steps=0"], "steps=0 is out of range: choose at least 1"),
        (["batch_size=0"], "batch_size=0 is out of range: choose at least 1"),
        (["optimizer.lr=-0.1"], "optimizer.lr=-0.1 is out of range: choose at least 0"),
        (["objective.label_smoothing=1.5"], "objective.label_smoothing=1.5 is out of range: choose 0 to 1"),
        (["seed=-1"], "seed=-1 is out of range: choose 0 to 4294967295"),
        (["seed=4294967296"], "seed=4294967296 is out of range"),
        (["observe.val.every=0"], "observe.val.every=0 is out of range"),
        (["evaluate.splits=[vall]"], "evaluate.splits names 'vall', which is none of train, val, test"),
        (["accelerator.threads=0"], "accelerator.threads=0 is out of range"),
        (["name=../up"], "name=../up is no name of a folder: choose letters, digits, dots and hyphens"),
        (["name=mine", "experiment=demo"], "name=mine is for runs without an experiment: those of demo have a folder"),
        (["+lr=0.1"], "nothing reads the key lr: choose one of seed, batch_size"),
        (["model=null"], "the config group model needs a choice: convnet, deep_cnn"),
        (["normalizer="], "the config group normalizer needs a choice: batch"),
        (["experiment=null"], "the config group experiment needs a choice: convnet"),
        (["experiment=mlp", "optimizer.lr=choice(nan,0.1)"], "optimizer.lr=nan is no finite number"),
        (["experiment=mlp", "batch_size=range(0,64,32)"], "batch_size=0 is out of range: choose at least 1"),
        (["experiment=mlp", "optimizer.lr=interval(0.1,1)"], "is for a search: add hydra/sweeper=optuna"),
        (["experiment=mlp", "hydra.launcher.workers=-1"], "hydra.launcher.workers=-1 is out of range"),
        (["experiment=mlp", "hydra.sweeper.max_batch_size=0"], "hydra.sweeper.max_batch_size=0 is out of range"),
        (["hydra.mode=MULTIRUN", "hydra.sweeper.until=decided"], "there are none: choose an experiment with claims"),
        (["experiment=mlp", "report.tune=optimizer.lr"], "report.tune=optimizer.lr is no key that this experiment"),
        (["experiment=mlp", "steps=many"], "Value 'many' of type 'str' could not be converted to Integer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_config_ends_in_one_message_that_does_not_wait_for_torch(
    normlab: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    finished = normlab(DIGITS, *arguments, **LISTING_IMPORTS)
    assert finished.returncode == 1
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "outputs").exists()
    assert not imported(finished.stderr) & {"torch", "pytorch_lightning", "numpy", "pandas"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optimizer.lr=fast"], "optimizer.lr='fast' has the wrong type: it is a number"),
        (["optimizer=adam", "optimizer.betas=0.9"], "optimizer.betas=0.9 has the wrong type: it is a list"),
        (["model.hidden=100"], "model.hidden=100 has the wrong type: it is a list"),
        (["normalizer._target_=nowhere.Layer"], "normalizer._target_=nowhere.Layer cannot be imported"),
        (["experiment=mlp", "optimizer.lr=0.1,fast"], "optimizer.lr='fast' has the wrong type: it is a number"),
        (
            ["normalizer=slim", "normalizer.momentum=low"],
            "normalizer.momentum='low' has the wrong type: it is a number",
        ),
        (["batch_size=1248"], "batch_size is 1248, but the train split has 1247 examples: choose 1 to 1247"),
        (["+trainer.nonsense=1"], "trainer.nonsense is no argument of Lightning's Trainer, which has accelerator"),
        (["normalizer=batch", "normalizer.eps=0"], "ValueError: batch_norm eps must be positive"),
        (["model=convnet", "normalizer._target_=torch.nn.LayerNorm"], "fails in LayerNorm ("),
        (["model.activation=rely"], "there is no activation 'rely': choose one of relu, sigmoid"),
        (["normalizer=batch", "normalizer.momentum=3"], "momentum must be in [0, 1], got 3"),
        (["schedule=cosine", "schedule.warmup=10001"], "schedule.warmup=10001 is out of range: choose 0 to 10000"),
        (["normalizer._target_=torch.nn.Nothing"], "normalizer._target_=torch.nn.Nothing cannot be imported"),
        (
            ["model=language_model"],
            "LanguageModel takes vocabulary_size and context, but Classification data give input",
        ),
        (["model=resnet", "model.depth=21"], "model: depth must be 6n + 2, got 21: choose 20 or 26"),
        (
            ["model=vit", "model.patch=5"],
            "patch=5 must divide height and width of an image, here 28×28: choose one of 1",
        ),
        (["sampler=by_class", "sampler.classes=3"], "sampler.classes=3 does not divide batch_size=64"),
        (["augmentation=crop_flip", "augmentation.padding=28"], "padding=28 is no smaller than the images of 28×28"),
        (["augmentation=crop_flip", "preprocessing=zca"], "augmentation changes images in every step, but a preproc"),
        (["model=vit", "model.heads=5"], "heads=5 must divide dim=64: choose one of 1, 2, 4"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_that_only_the_parts_of_a_run_can_tell_ends_in_one_message(
    normlab: Command, tmp_path: Path, arguments: list[str], message: str
) -> None:
    finished = normlab(DIGITS, *arguments)
    assert finished.returncode == 1
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("arguments", [["seed=0,-1"], ["normalizer=none,batch", "batch_size=2000"], ["steps=1,many"]])
def test_a_mistake_in_a_sweep_shows_before_its_first_run(
    normlab: Command, tmp_path: Path, arguments: list[str]
) -> None:
    finished = normlab("experiment=demo", *arguments)
    assert finished.returncode == 1
    assert finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_asking_for_a_gpu_where_there_is_none_says_what_to_do(normlab: Command, tmp_path: Path) -> None:
    finished = normlab(DIGITS, "accelerator=gpu")
    assert finished.returncode == 1
    assert "torch finds no CUDA GPU here" in finished.stderr
    assert "accelerator=cpu" in finished.stderr
    assert not (tmp_path / "outputs").exists()


def test_without_data_and_network_the_message_says_where_it_looked_and_what_to_do(
    normlab: Command, tmp_path: Path
) -> None:
    # A proxy on a closed port: no request leaves the machine, and each fails at once.
    closed = "http://127.0.0.1:1"
    finished = normlab("data.root=empty", https_proxy=closed, http_proxy=closed, HTTPS_PROXY=closed, HTTP_PROXY=closed)
    assert finished.returncode == 1
    assert "empty/mnist" in finished.stderr
    assert "data.root=DIR" in finished.stderr
    assert "data=digits needs no download" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_wrong_file_is_named_with_both_digests_and_left_as_it_was(normlab: Command, tmp_path: Path) -> None:
    file = tmp_path / "data" / "mnist" / "train-images-idx3-ubyte.gz"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not MNIST")
    finished = normlab("data.root=data")
    assert finished.returncode == 1
    assert str(file.relative_to(tmp_path)) in finished.stderr
    assert "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609" in finished.stderr
    assert "found    " in finished.stderr
    assert "Traceback" not in finished.stderr
    assert file.read_bytes() == b"not MNIST"
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("key", ["output_root", "data.root"])
def test_a_place_that_cannot_be_written_is_named(normlab: Command, tmp_path: Path, key: str) -> None:
    # Below a regular file nobody can write, not even root, whom permissions do not stop.
    (tmp_path / "file").write_text("")
    closed = {"https_proxy": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
    finished = normlab(*([DIGITS] if key == "output_root" else []), f"{key}=file/below", "steps=1", **closed)
    assert finished.returncode == 1
    assert "file/below" in finished.stderr
    assert f"{key}=DIR" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
