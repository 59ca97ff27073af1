import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import reporting
from experiments.__main__ import questions

ROOT = Path(__file__).parent.parent


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


def test_every_experiment_runs_when_it_is_only_tried(tmp_path):
    """In a process of their own, all of them together, as importing JAX and drawing take most of the time."""
    names = [name for name in questions() if "benchmarks" not in name]
    program = f"""
import importlib, pathlib
for name in {names}:
    module = importlib.import_module(name)
    module.run(module.Config(smoke=True, out=pathlib.Path({str(tmp_path)!r}) / name))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name in names:
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["config"]["smoke"] is True
        assert result["numbers"]
        assert any(path.suffix == ".png" for path in (tmp_path / name).iterdir())
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
    penalties = json.loads((tmp_path / "experiments.l1_l2/result.json").read_text())["numbers"]
    assert max(penalties["apart"][0], penalties["apart"][2]) < 1e-4 < penalties["apart"][1]
    strongest = [of_penalty[-1] for of_penalty in penalties["weights"][0][0]]
    assert [sum(weight == 0 for weight in weights) for weights in strongest] == [20, 0, 0]
    stopped = json.loads((tmp_path / "experiments.early_stopping/result.json").read_text())["numbers"]
    assert stopped["epochs"][-1] == [12, 12]
    for shorter, longer in zip(stopped["epochs"], stopped["epochs"][1:], strict=False):
        assert all(a <= b for a, b in zip(shorter, longer, strict=True))


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
