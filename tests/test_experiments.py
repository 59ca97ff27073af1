import base64
import html
import html.parser
import importlib.metadata
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from experiments import data_sets, gallery, reporting
from experiments.__main__ import CHAPTERS, header, questions

ROOT = Path(__file__).parent.parent
ON_REAL_DATA = {"mnist": data_sets.MNIST, "pumpkin_seeds": data_sets.PUMPKIN_SEEDS}


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
        assert f"  python -m {name}\n      {question}\n" in done.stdout


def test_every_experiment_stands_in_a_chapter_of_the_lecture_once():
    lecture = [name for names in CHAPTERS.values() for name in names]
    assert len(set(lecture)) == len(lecture)
    others = {name for name in questions() if ".benchmarks." in name} | {"experiments.gallery"}
    assert {f"experiments.{name}" for name in lecture} == set(questions()) - others


@pytest.mark.parametrize("name", [name for names in CHAPTERS.values() for name in names])
def test_the_header_and_the_readme_show_question_answer_command_and_picture(name):
    """Pictures are kept small: at most 100 kB each."""
    about = header(name)
    assert about.expected.startswith("Expected")
    assert re.search(r"seconds|minute|No spread", about.expected + about.method, re.IGNORECASE)
    readme = (ROOT / "experiments" / "README.md").read_text()
    picture = f"![{about.question}](pictures/{name}.png)"
    _, _, rest = readme.partition(f"\n### {about.question}\n\n")
    answer, _, rest = rest.partition(f"\n\n`python -m experiments.{name}`, ")
    assert "###" not in answer
    assert len(answer) > 50
    seconds, _, rest = rest.partition("\n\n")
    assert re.match(r"\d+ s", seconds)
    assert rest.startswith(picture)
    data = (ROOT / "experiments" / "pictures" / f"{name}.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) <= 100_000


def test_no_picture_is_left_over():
    names = {name for names in CHAPTERS.values() for name in names}
    assert {path.stem for path in (ROOT / "experiments" / "pictures").iterdir()} == names


def logic_gates(numbers):
    assert [sum(numbers["separable"][n]) for n in "12"] == [4, 14]
    assert numbers["separable"]["2"] == numbers["learned"]["2"][0] == numbers["learned"]["2"][1]
    assert all(numbers["two_layers"]["2"])


def concert(numbers):
    assert [sum(goes) for goes in numbers["goes"]] == [8, 7, 7, 5, 4, 3, 1, 1, 0]
    assert numbers["chosen_power"] == [0.25, 0.75, 0.25]


def backprop_by_hand(numbers):
    assert numbers["loss_before"] == pytest.approx(2.0594, rel=1e-4)
    assert numbers["loss_after"] == pytest.approx(0.7475, rel=1e-4)
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
    logic_gates, backprop_by_hand, vanishing_gradients, optimizer_race, l1_l2,
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


FULLY = ("concert", "perceptron_convergence", "learning_rate")
"""These take seconds at full settings too; the others are only tried."""


def there():
    """The names of the experiments whose data are there, in the lecture's order, without those run fully."""
    names = [name for names in CHAPTERS.values() for name in names if name not in ("digits", *FULLY)]
    return [name for name in names if name not in ON_REAL_DATA or is_there(ON_REAL_DATA[name])]


@pytest.mark.parametrize("part", range(4))
def test_every_experiment_runs_when_it_is_only_tried(part, tmp_path):
    """By the gallery, several in one process, as importing JAX and drawing take most of the time."""
    names = there()[part::4]
    shown_on_page(tmp_path, names, "--smoke")
    checks = {check.__name__: check for check in SHOWN}
    assert set(checks) <= {name for names in CHAPTERS.values() for name in names}
    for name in names:
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["config"]["smoke"] is True
        assert result["numbers"]
        checks.get(name, bool)(result["numbers"])


def test_cheap_experiments_come_to_the_numbers_that_the_readme_has(tmp_path):
    """At full settings, which are those of a person who adds no option."""
    shown_on_page(tmp_path, FULLY)
    numbers = {name: json.loads((tmp_path / name / "result.json").read_text())["numbers"] for name in FULLY}
    concert(numbers["concert"])
    learned = numbers["perceptron_convergence"]
    assert sum(learned["converged"]) == 1000
    for bound in ("bound", "best_bound"):
        assert all(np.divide(learned["mistakes"][: len(learned[bound])], learned[bound]) <= 1.001)
    assert np.median(learned["mistakes"]) == 10
    assert np.median(np.divide(learned["mistakes"], learned["bound"])) == pytest.approx(0.026, rel=0.02)
    ladder = numbers["learning_rate"]
    np.testing.assert_allclose(np.mean(ladder["losses"], axis=1)[:4], [0.132, 0.124, 0.135, 0.241], rtol=0.05)
    np.testing.assert_allclose(np.mean(ladder["test_accuracy"], axis=1)[:4], [0.972, 0.975, 0.976, 0.955], rtol=0.004)
    assert ladder["suggestion"] == pytest.approx(0.0058, rel=0.05)


def shown_on_page(folder, names, *options):
    """Run experiments in the gallery and check its page."""
    environment = os.environ if options else {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-m", "experiments.gallery", "--experiments", *names, *options, "--out", str(folder)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = Page((folder / "index.html").read_text())
    assert page.sections == list(names)
    assert page.links == [f"#{name}" for name in names]
    pictures = [path.read_bytes() for name in names for path in sorted((folder / name).glob("*.png"))]
    assert page.pictures == pictures
    for name in names:
        assert any(path.suffix == ".png" for path in (folder / name).iterdir())
        assert header(name).question in page.text
        assert f"python -m experiments.{name}{' --smoke' if options else ''}" in page.text
    assert f"jax {importlib.metadata.version('jax')}" in page.text
    assert "failed" not in page.text
    assert reporting.SAVED not in page.text


class Page(html.parser.HTMLParser):
    """What a page of the gallery holds; refuses what is not closed, and what refers to other files."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sections, self.links, self.pictures, self.text = [], [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(set(self.sections)) == len(self.sections)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "section":
            self.sections.append(attributes["id"])
        elif tag == "a":
            self.links.append(attributes["href"])
        elif tag == "img":
            kind, _, data = attributes["src"].partition(",")
            assert kind == "data:image/png;base64"
            assert attributes["alt"]
            self.pictures.append(base64.b64decode(data))
            with Image.open(io.BytesIO(self.pictures[-1])) as picture:
                assert (attributes["width"], attributes["height"]) == tuple(map(str, picture.size))
        else:
            assert not {"src", "href"} & set(attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_an_experiment_without_its_data_says_what_to_put_where(tmp_path):
    done = command("experiments.mnist", "--data-dir", str(tmp_path / "absent"), "--out", str(tmp_path))
    assert done.returncode == 1
    assert "absent is no folder; give one with data sets" in done.stderr
    assert "Traceback" not in done.stderr


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
from experiments import concert, reporting
sys.argv.insert(1, "--out")
reporting.main(concert.Config, concert.run, None)
"""


def test_a_full_disk_leaves_no_half_written_file(tmp_path):
    """The disk refuses files beyond 5,000 bytes; what was there and what was printed before are not lost."""
    picture = tmp_path / "decisions.png"
    picture.write_text("whole")
    done = subprocess.run(
        [sys.executable, "-B", "-c", LIMITED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"{picture} cannot be written (File too large)." in done.stderr
    assert "Traceback" not in done.stderr
    assert "what would turn it" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decisions.png", "result.json"]
    assert picture.read_text() == "whole"


def test_a_table_lines_its_columns_up():
    assert reporting.table([("", "mean"), ("accuracy", 97.5)]) == "          mean\n--------------\naccuracy  97.5"


def test_the_gallery_names_what_failed_and_what_is_not_there_and_goes_on(tmp_path, monkeypatch, capsys):
    def fail(config):
        raise RuntimeError("a <b> & c")

    monkeypatch.setattr("experiments.concert.run", fail)
    options = gallery.Config(
        ("mnist", "concert", "backprop_by_hand"), data_dir=tmp_path / "absent", smoke=True, out=tmp_path / "out"
    )
    with pytest.raises(SystemExit, match="gallery: concert failed; the page says how"):
        gallery.command(options)
    assert "in fail" in capsys.readouterr().err
    page = Page((tmp_path / "out" / "index.html").read_text())
    assert page.sections == ["concert", "backprop_by_hand", "mnist"]
    assert len(page.pictures) == 1
    assert "It failed: RuntimeError: a <b> & c" in page.text
    assert "absent is no folder; give one with data sets" in page.text


def test_a_gallery_of_unknown_experiments_gets_a_sentence(tmp_path):
    done = command("experiments.gallery", "--experiments", "xor", "--out", str(tmp_path))
    assert done.returncode == 1
    assert "experiments is 'xor'; did you mean 'xor_mlp'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_small_copies_of_pictures(tmp_path):
    gallery.run(gallery.Config(("concert",), smoke=True, out=tmp_path / "out", copies=tmp_path / "small"))
    with (
        Image.open(tmp_path / "small" / "concert.png") as copy,
        Image.open(tmp_path / "out/concert/decisions.png") as at,
    ):
        assert copy.width == 1000
        assert copy.height == pytest.approx(1000 * at.height / at.width, abs=1)
    assert (tmp_path / "small" / "concert.png").stat().st_size <= 100_000


BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
MEASURE = """
<iframe style="width: {width}px; height: 800px; border: 0" srcdoc="{page}"></iframe>
<script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  document.title = JSON.stringify({{
    width: root.clientWidth, content: root.scrollWidth,
    pictures: [...page.images].map(image => [image.naturalWidth, image.getBoundingClientRect().width]),
    tables: [...page.querySelectorAll("pre")].map(table => table.scrollWidth > table.clientWidth),
    text: parseFloat(getComputedStyle(page.body).fontSize),
  }});
}};
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_desktop_and_a_telephone(width, tmp_path):
    """In a real browser: nothing sticks out, all pictures are shown, and wide tables scroll by themselves."""
    figure = Figure(figsize=(11, 3))
    figure.savefig(tmp_path / "a.png", dpi=150)
    exhibits = [gallery.Exhibit(n, "=" * 150, (tmp_path / "a.png",), 1.0) for n in ("concert", "vanishing_gradients")]
    exhibits.append(gallery.Exhibit("mnist", "", (), 0.0, missing="no/" * 100))
    page = gallery.page(exhibits, smoke=True)
    (tmp_path / "measure.html").write_text(MEASURE.format(width=width, page=html.escape(page, quote=True)))
    options = "--headless --no-sandbox --disable-gpu --disable-background-networking --dump-dom --window-size=1400,900"
    done = subprocess.run(
        [BROWSER, *options.split(), f"--user-data-dir={tmp_path / 'profile'}", str(tmp_path / "measure.html")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    seen = json.loads(html.unescape(re.search("<title>(.*)</title>", done.stdout)[1]))
    assert seen["content"] <= seen["width"] <= width
    assert seen["text"] >= 16
    assert len(seen["pictures"]) == 2
    for natural, shown in seen["pictures"]:
        assert natural == 1650
        assert shown == pytest.approx(min(seen["width"] - 32, 960), abs=1)
    assert seen["tables"] == [True, True]
