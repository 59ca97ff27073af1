import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

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


def try_all(names, folder):
    """Run experiments in smoke mode, all of them in one process of their own."""
    program = f"""
import importlib, pathlib
for name in {names}:
    module = importlib.import_module(name)
    module.run(module.Config(smoke=True, out=pathlib.Path({str(folder)!r}) / name))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name in names:
        result = json.loads((folder / name / "result.json").read_text())
        assert result["config"]["smoke"] is True
        assert result["numbers"]
        assert any(path.suffix == ".png" for path in (folder / name).iterdir())


def is_there(data_set):
    """Whether an experiment's real data can be read without fetching anything."""
    try:
        files = data_sets.find(data_set, download=False)
    except data_sets.DataError:
        return False
    needs_openpyxl = any(name.endswith(".xlsx") for name in files)
    return not needs_openpyxl or importlib.util.find_spec("openpyxl") is not None


def test_every_experiment_runs_when_it_is_only_tried(tmp_path):
    """In a process of their own, all of them together, as importing JAX and drawing take most of the time."""
    names = [name for name in questions() if "benchmarks" not in name and name not in ON_REAL_DATA]
    try_all(names, tmp_path)
    gates = json.loads((tmp_path / "experiments.logic_gates/result.json").read_text())["numbers"]
    assert [sum(gates["separable"][n]) for n in "12"] == [4, 14]
    assert gates["separable"]["2"] == gates["learned"]["2"][0] == gates["learned"]["2"][1]
    assert all(gates["two_layers"]["2"])
    concert = json.loads((tmp_path / "experiments.concert/result.json").read_text())["numbers"]
    assert [sum(goes) for goes in concert["goes"]] == [8, 7, 7, 5, 4, 3, 1, 1, 0]
    assert concert["chosen_power"] == [0.25, 0.75, 0.25]
    perceptrons = json.loads((tmp_path / "experiments.perceptron_convergence/result.json").read_text())["numbers"]
    assert all(perceptrons["converged"])
    for mistakes, bound, best in zip(*(perceptrons[of] for of in ("mistakes", "bound", "best_bound")), strict=True):
        assert 0 < mistakes <= best <= bound * 1.001
    assert min(perceptrons["xor_mistakes"]) > 0
    scaling = json.loads((tmp_path / "experiments.feature_scaling/result.json").read_text())["numbers"]
    condition = scaling["condition"]
    assert condition["standard"] < condition["robust"] < condition["min-max"] < 1e6 < 1e12 < condition["raw"]
    assert scaling["saturated"]["raw"] > 0.9


def test_experiments_on_real_data_run_when_they_are_only_tried(tmp_path):
    names = [name for name, data_set in ON_REAL_DATA.items() if is_there(data_set)]
    if not names:
        pytest.skip(f"no real data sets: there is no {data_sets.BESIDE_CHECKOUT}, and JAXMLP_DATA names none")
    try_all(names, tmp_path)
    if "experiments.mnist" in names:
        mnist = json.loads((tmp_path / "experiments.mnist/result.json").read_text())["numbers"]
        assert all(0 < error < 0.9 for error in mnist["error"]["32"])
        assert mnist["error"]["32"] == pytest.approx([errors[-1] for errors in mnist["by_epoch"]["32"]], abs=1e-6)
    if "experiments.pumpkin_seeds" in names:
        seeds = json.loads((tmp_path / "experiments.pumpkin_seeds/result.json").read_text())["numbers"]
        assert [sum(of_sort) for of_sort in seeds["confusion"]] == [1300, 1200]
        assert all(0.6 < share < 1 for of_split in seeds["lesson"] for share in of_split)


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
