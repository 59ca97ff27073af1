import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import data_sets, reporting
from experiments.__main__ import questions

ROOT = Path(__file__).parent.parent
ON_REAL_DATA = {
    "experiments.mnist": data_sets.MNIST,
    "experiments.pumpkin_seeds": data_sets.PUMPKIN_SEEDS,
}


def command(*arguments):
    """Run a command from a clean process, as a person would."""
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "COLUMNS")} | {"COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


def test_digits_learns_as_its_header_says(tmp_path):
    """The README's first command, at full settings: at least 97 % of the test digits, averaged over the seeds."""
    done = command("experiments.digits", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    accuracy = result["numbers"]["test_accuracy"]
    assert len(accuracy) == 5
    assert sum(accuracy) / 5 >= 0.97
    assert f"{100 * sum(accuracy) / 5:.2f}" in done.stdout
    assert result["config"]["sizes"] == [64, 128, 64, 10]
    assert set(result["environment"]["versions"]) == set(reporting.PACKAGES)
    for name in ("learning_curves.png", "confusion_matrix.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["confusion_matrix.png", "learning_curves.png", "result.json"]


def test_help_explains_every_option():
    done = command("experiments.digits", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m experiments.digits ")
    text = re.sub(r"[\s│]+", " ", done.stdout)
    for option in ("--learning-rate FLOAT Adam's learning rate. (default: 0.001)", "--seeds INT How many nets"):
        assert option in text


def test_unknown_options_and_values_get_a_sentence(tmp_path):
    done = command("experiments.digits", "--learning-rat", "1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--learning-rate" in done.stdout + done.stderr
    done = command("experiments.digits", "--activation", "rellu", "--out", str(tmp_path))
    assert done.returncode == 1
    assert "activation is 'rellu'; did you mean 'relu'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--seeds", "0"], "seeds is 0; give a whole number of at least 1"),
        (["--sizes", "64", "32", "20"], "sizes is (64, 32, 20); begin with the 64 pixels and end with the 10 digits"),
    ],
)
def test_values_that_cannot_be_run_are_refused_before_training(options, sentence, tmp_path):
    done = command("experiments.digits", *options, "--out", str(tmp_path))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stdout == ""


def test_a_folder_that_cannot_be_written_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    done = command("experiments.digits", "--out", str(tmp_path / "file" / "folder"))
    assert done.returncode == 1
    assert "choose another with --out" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_shows_every_experiment_and_its_question():
    done = command("experiments")
    assert done.returncode == 0
    assert {"experiments.digits", "experiments.benchmarks.step_time"} <= set(questions())
    for name, question in questions().items():
        assert question.endswith("?")
        assert f"python -m {name}\n    {question}\n" in done.stdout


def logic_gates(numbers):
    assert [sum(numbers["separable"][n]) for n in "12"] == [4, 14]
    assert numbers["separable"]["2"] == numbers["learned"]["2"][0] == numbers["learned"]["2"][1]
    assert all(numbers["two_layers"]["2"])


def concert(numbers):
    assert [sum(goes) for goes in numbers["goes"]] == [8, 7, 7, 5, 4, 3, 1, 1, 0]
    assert numbers["chosen_power"] == [0.25, 0.75, 0.25]


def perceptron_convergence(numbers):
    assert all(numbers["converged"])
    for mistakes, bound, best in zip(*(numbers[of] for of in ("mistakes", "bound", "best_bound")), strict=True):
        assert 0 < mistakes <= best <= bound * 1.001
    assert min(numbers["xor_mistakes"]) > 0


def backprop_by_hand(numbers):
    assert numbers["loss_after"] < numbers["loss_before"] / 2
    assert np.max(numbers["from_autodiff"]) < 1e-14 < np.max(numbers["from_differences"]) < 1e-7


def vanishing_gradients(numbers):
    a_layer = np.median(np.array(numbers["gradient"])[:, 0], axis=1) ** (1 / 2)  # of nets with three hidden layers
    np.testing.assert_allclose(a_layer[[0, 2, 3, 4]], [0.25, 0.5**0.5, 1, 2], rtol=0.15)


def optimizer_race(numbers):
    assert numbers["walked"]["adagrad"] == pytest.approx(2 * 0.01 * 10_000**0.5, rel=0.02)
    assert numbers["walked"]["rmsprop"] == pytest.approx(100, rel=0.01)


def gradient_descent(numbers):
    assert numbers["threshold"] == pytest.approx(2, abs=0.002)
    assert 0.5 < numbers["lower"]["gradient descent"] < 0.54  # the hill between the minima is at 0.076


def l1_l2(numbers):
    assert max(numbers["apart"][0], numbers["apart"][2]) < 1e-4 < numbers["apart"][1]
    strongest = [of_penalty[-1] for of_penalty in numbers["weights"][0][0]]
    assert [sum(weight == 0 for weight in weights) for weights in strongest] == [20, 0, 0]


def early_stopping(numbers):
    assert numbers["epochs"][-1] == [12, 12]
    for shorter, longer in zip(numbers["epochs"], numbers["epochs"][1:], strict=False):
        assert all(a <= b for a, b in zip(shorter, longer, strict=True))


def feature_scaling(numbers):
    condition = numbers["condition"]
    assert condition["standard"] < condition["robust"] < condition["min-max"] < 1e6 < 1e12 < condition["raw"]
    assert numbers["saturated"]["raw"] > 0.9


def mnist(numbers):
    assert all(0 < error < 0.9 for error in numbers["error"]["32"])
    assert numbers["error"]["32"] == pytest.approx([errors[-1] for errors in numbers["by_epoch"]["32"]], abs=1e-6)


def pumpkin_seeds(numbers):
    assert [sum(of_sort) for of_sort in numbers["confusion"]] == [1300, 1200]
    assert all(0.6 < share < 1 for of_split in numbers["lesson"] for share in of_split)


SHOWN = (
    logic_gates, concert, perceptron_convergence, backprop_by_hand, vanishing_gradients, optimizer_race, l1_l2,
    gradient_descent,
    early_stopping, feature_scaling, mnist, pumpkin_seeds,
)  # fmt: skip
"""What even a short run shows, by the name of the experiment."""


def is_there(data_set):
    """Whether an experiment's real data can be read without fetching anything."""
    try:
        files = data_sets.find(data_set, download=False)
    except data_sets.DataError:
        return False
    needs_openpyxl = any(name.endswith(".xlsx") for name in files)
    return not needs_openpyxl or importlib.util.find_spec("openpyxl") is not None


@pytest.mark.parametrize("part", range(4))
def test_every_experiment_runs_when_it_is_only_tried(part, tmp_path):
    """In one process for several of them, as importing JAX and drawing take most of the time."""
    others = ("benchmarks", "experiments.digits")  # which are run elsewhere
    names = [name for name in questions() if not any(other in name for other in others)][part::4]
    names = [name for name in names if name not in ON_REAL_DATA or is_there(ON_REAL_DATA[name])]
    program = f"""
import importlib, pathlib
for name in {names}:
    module = importlib.import_module(name)
    module.run(module.Config(smoke=True, out=pathlib.Path({str(tmp_path)!r}) / name))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    shown = {f"experiments.{check.__name__}": check for check in SHOWN}
    assert set(shown) <= set(questions())
    for name in names:
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["config"]["smoke"] is True
        assert any(path.suffix == ".png" for path in (tmp_path / name).iterdir())
        assert result["numbers"]
        shown.get(name, bool)(result["numbers"])


def test_an_experiment_without_its_data_says_what_to_put_where(tmp_path):
    done = command("experiments.mnist", "--data-dir", str(tmp_path / "absent"), "--out", str(tmp_path))
    assert done.returncode == 1
    assert "absent is no folder; give one with data sets" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_fails_half_way_leaves_nothing(tmp_path):
    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    (tmp_path / "result.json").write_text("whole")
    with pytest.raises(OSError, match="disk full"):
        reporting._write(tmp_path / "result.json", fail)
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
    assert (tmp_path / "result.json").read_text() == "whole"


def test_a_table_lines_its_columns_up():
    assert reporting.table([("", "mean"), ("accuracy", 97.5)]) == "          mean\n--------------\naccuracy  97.5"
