"""Data sets: found where they should be, checked, read whole or refused by a sentence that names the file."""

import gzip
import hashlib
import os
import struct
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from experiments import data_sets
from experiments.data_sets import DataError, DataSet

TEXT = b"a,b,sort\n1,2.5,x\n3,-4e1,y\n"


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Neither the user's cache nor a folder beside the checkout, and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAXMLP_DATA", raising=False)
    monkeypatch.setattr(data_sets, "BESIDE_CHECKOUT", tmp_path / "beside")
    opened = urllib.request.urlopen

    def of_files_only(url, **options):
        assert url.startswith("file://"), url
        return opened(url, **options)

    monkeypatch.setattr(urllib.request, "urlopen", of_files_only)


def at_home(tmp_path, data=TEXT, packed=False):
    """A set whose public home is a folder."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ("t.csv.gz" if packed else "t.csv")).write_bytes(gzip.compress(data) if packed else data)
    return DataSet("small", {"t.csv": digest(TEXT)}, f"{home.as_uri()}/", packed=packed)


def put(path, data=TEXT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def everything_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_folder_given_comes_before_the_variable_the_checkout_and_the_cache(tmp_path, monkeypatch):
    small = DataSet("small", {"t.csv": digest(TEXT)}, "nowhere://")
    places = [tmp_path / "given", tmp_path / "named", tmp_path / "beside", tmp_path / "cache/jaxmlp-data"]
    files = [put(place / "small/t.csv") for place in places]
    monkeypatch.setenv("JAXMLP_DATA", str(tmp_path / "named"))
    assert data_sets.find(small, tmp_path / "given") == {"t.csv": files[0]}
    assert data_sets.find(small) == {"t.csv": files[1]}
    monkeypatch.delenv("JAXMLP_DATA")
    assert data_sets.find(small) == {"t.csv": files[2]}
    files[2].unlink()
    assert data_sets.find(small) == {"t.csv": files[3]}


@pytest.mark.parametrize("name", ["small/t.csv", "small/t.csv.gz", "t.csv", "t.csv.gz"])
def test_files_may_be_packed_and_need_no_folder_of_their_own(tmp_path, name):
    small = DataSet("small", {"t.csv": digest(TEXT)}, "nowhere://")
    path = put(tmp_path / name, gzip.compress(TEXT) if name.endswith(".gz") else TEXT)
    assert data_sets.find(small, tmp_path) == {"t.csv": path}
    assert data_sets.contents(path) == TEXT


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_nowhere_is_fetched_once(tmp_path, packed, capsys):
    small = at_home(tmp_path, packed=packed)
    path = data_sets.find(small)["t.csv"]
    assert data_sets.contents(path) == TEXT
    assert everything_in(tmp_path / "cache") == [path]
    assert capsys.readouterr().out == f"Fetching {small.home}t.csv{'.gz' if packed else ''}\n"
    for file in (tmp_path / "home").iterdir():
        file.unlink()
    assert data_sets.find(small) == {"t.csv": path}
    assert capsys.readouterr().out == ""


def test_another_file_is_not_kept_when_it_is_fetched(tmp_path):
    small = at_home(tmp_path, TEXT[:-1])
    with pytest.raises(DataError, match=r"small/t\.csv is not there: what file://.* gave is another file, or cut off"):
        data_sets.find(small)
    assert everything_in(tmp_path / "cache") == []


def test_a_download_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    class Breaking:
        def __init__(self):
            self.parts = [TEXT[:5], ConnectionResetError("the line is dead")]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def read(self, size):
            part = self.parts.pop(0)
            if isinstance(part, Exception):
                raise part
            return part

    small = at_home(tmp_path)
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Breaking())
    with pytest.raises(DataError, match="the line is dead"):
        data_sets.find(small)
    assert everything_in(tmp_path / "cache") == []
    assert list((tmp_path / "cache/jaxmlp-data").iterdir()) == []


def test_what_is_nowhere_and_cannot_be_fetched_is_said_with_what_to_do(tmp_path):
    small = at_home(tmp_path)
    (tmp_path / "home/t.csv").unlink()
    for download, reason in ((True, "could not be fetched"), (False, "it is in none of the folders")):
        with pytest.raises(DataError, match=reason) as error:
            data_sets.find(small, download=download)
        assert "small/t.csv is not there" in str(error.value)
        assert str(error.value).endswith(
            "put it (.gz or not) into FOLDER/small, and give --data-dir FOLDER, or the environment variable "
            "JAXMLP_DATA=FOLDER"
        )


def test_nothing_is_fetched_where_that_is_not_wanted(tmp_path):
    with pytest.raises(DataError, match="is not there"):
        data_sets.find(at_home(tmp_path), download=False)
    assert not (tmp_path / "cache").exists()


def test_a_wrong_file_is_named_though_the_right_one_may_be_had(tmp_path):
    small = at_home(tmp_path)
    path = put(tmp_path / "given/small/t.csv", TEXT.replace(b"3", b"8"))
    with pytest.raises(DataError, match=rf"{path} is another file than the one that is known \(SHA-256"):
        data_sets.find(small, tmp_path / "given")


def test_a_folder_that_there_is_not_is_said(tmp_path, monkeypatch):
    small = at_home(tmp_path)
    with pytest.raises(DataError, match=r"given is no folder; give one with data sets, by --data-dir or by JAXMLP"):
        data_sets.find(small, tmp_path / "given")
    monkeypatch.setenv("JAXMLP_DATA", str(tmp_path / "named"))
    with pytest.raises(DataError, match="named is no folder"):
        data_sets.find(small)


def idx(values, kind=8):
    return bytes([0, 0, kind, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4)])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read(tmp_path, shape, packed):
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = put(tmp_path / "file", gzip.compress(idx(values)) if packed else idx(values))
    read = data_sets.read_idx(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, values)


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
DAMAGED = {
    "empty": (b"", "does not begin as an idx file"),
    "another format": (b"PK\3\4" + bytes(40), "does not begin as an idx file"),
    "floats": (idx(IMAGES, kind=13), "does not begin as an idx file"),
    "cut off in its head": (idx(IMAGES)[:10], "does not begin as an idx file"),
    "cut off": (idx(IMAGES)[:-1], r"says that it holds \(2, 3, 4\), but has 23 numbers"),
    "too long": (idx(IMAGES) + b"\0", r"says that it holds \(2, 3, 4\), but has 25 numbers"),
    "gzip cut off": (gzip.compress(idx(IMAGES))[:-9], "damaged, cut off or unreadable"),
    "gzip without its end": (gzip.compress(idx(IMAGES))[:-4], "damaged, cut off or unreadable"),
    "gzip with another checksum": (gzip.compress(idx(IMAGES))[:-8] + bytes(8), "damaged, cut off or unreadable"),
    "gzip that is none": (b"\x1f\x8b" + bytes(30), "damaged, cut off or unreadable"),
}


@pytest.mark.parametrize(("data", "sentence"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_idx_files_are_named(tmp_path, data, sentence):
    path = put(tmp_path / "file", data)
    with pytest.raises(DataError, match=f"{path} .*{sentence}|{path} {sentence}"):
        data_sets.read_idx(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="absent is damaged, cut off or unreadable"):
        data_sets.contents(tmp_path / "absent")


@pytest.mark.parametrize("packed", [False, True])
def test_csv_files_are_read(tmp_path, packed):
    table = data_sets.read_csv(put(tmp_path / "t.csv", gzip.compress(TEXT) if packed else TEXT))
    assert {name: values.tolist() for name, values in table.items()} == {
        "a": [1.0, 3.0], "b": [2.5, -40.0], "sort": ["x", "y"],
    }  # fmt: skip
    assert list(table) == ["a", "b", "sort"]
    assert table["a"].dtype == np.float64
    other = data_sets.read_csv(put(tmp_path / "t.csv", b'"a;b";c\r\n"1";2\r\n'), separator=";")
    assert {name: values.tolist() for name, values in other.items()} == {"a;b": [1.0], "c": [2.0]}


TABLES = {
    "empty": (b"", "has 0 rows"),
    "names only": (b"a,b\n", "has 1 rows"),
    "a name twice": (b"a,a\n1,2\n", "names a column twice"),
    "a short line": (b"a,b\n1,2\n3\n", r"has no 2 cells in row 3: \['3'\]"),
    "a long line": (b"a,b\n1,2,3\n", "has no 2 cells in row 2"),
    "an empty cell": (b"a,b\n1,\n", "has no 2 cells in row 2"),
    "a strange cell": (b"a,b\n1,2\n1.5,3\n1.x,3\n", "t.csv, a has '1.x' in row 4 among numbers"),
    "no number": (b"a,b\n1,2\n1,nan\n", "t.csv, b has 'nan' in row 3 among numbers"),
    "infinity": (b"a,b\n1,2\n-inf,2\n", "t.csv, a has '-inf' in row 3 among numbers"),
    "an open quote": (b'a,b\n1,"2\n', "is no csv file"),
    "no text": (b"a,b\n\xff\xfe,2\n", "is no csv file"),
}


@pytest.mark.parametrize(("data", "sentence"), TABLES.values(), ids=TABLES)
def test_damaged_tables_are_named(tmp_path, data, sentence):
    path = put(tmp_path / "t.csv", data)
    with pytest.raises(DataError, match=sentence) as error:
        data_sets.read_csv(path)
    assert str(path) in str(error.value)


def workbook(path, rows):
    openpyxl = pytest.importorskip("openpyxl", reason="xlsx files are read by openpyxl, which is not installed")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("another").append(["not read"])
    book.save(path)
    return path


def test_xlsx_files_are_read(tmp_path):
    table = data_sets.read_xlsx(workbook(tmp_path / "t.xlsx", [["a", "Ç"], [1, "x "], [2.5, "y"]]))
    assert {name: values.tolist() for name, values in table.items()} == {"a": [1.0, 2.5], "Ç": ["x ", "y"]}


@pytest.mark.parametrize("damage", ["cut off", "cut short", "changed", "another", "empty cell"])
def test_damaged_xlsx_files_are_named(tmp_path, damage):
    rows = [["a", "b"], *([i, i / 7] for i in range(200)), *([[1, None]] if damage == "empty cell" else [])]
    path = workbook(tmp_path / "t.xlsx", rows)
    data = bytearray(path.read_bytes())
    if damage == "changed":
        at = data.find(b"xl/worksheets/sheet1.xml") + 200
        data[at] ^= 0xFF
    path.write_bytes({"cut off": data[:-100], "cut short": data[:300], "another": TEXT}.get(damage, data))
    with pytest.raises(DataError, match=r"has no 2 cells in row 202" if damage == "empty cell" else "no whole xlsx"):
        data_sets.read_xlsx(path)


def test_reading_xlsx_without_openpyxl_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DataError, match=r"takes openpyxl; pip install -e \"\.\[experiments\]\" brings it"):
        data_sets.read_xlsx(put(tmp_path / "t.xlsx"))


def test_images_are_rows_from_0_to_1(tmp_path):
    train, test = np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.full((1, 2, 2), 255, np.uint8)
    files = {
        "train-images-idx3-ubyte": idx(train), "train-labels-idx1-ubyte": idx(np.array([7, 0, 9], np.uint8)),
        "t10k-images-idx3-ubyte": idx(test), "t10k-labels-idx1-ubyte": idx(np.array([4], np.uint8)),
    }  # fmt: skip
    for name, data in files.items():
        put(tmp_path / "small" / name, data)
    small = DataSet("small", {name: digest(data) for name, data in files.items()}, "nowhere://")
    (x, y), (x_test, y_test) = data_sets.images(small, tmp_path)
    np.testing.assert_allclose(x, np.arange(12).reshape(3, 4) / 255, rtol=1e-6)
    assert x.dtype == np.float32
    assert (y.tolist(), x_test.tolist(), y_test.tolist()) == ([7, 0, 9], [[1.0] * 4], [4])


BESIDE = Path(__file__).parents[2] / "shared" / "data"
REAL = os.environ.get("JAXMLP_DATA")


@pytest.fixture
def real():
    """The folder with the real sets, named by JAXMLP_DATA when the tests began, or beside the checkout."""
    folder = Path(REAL) if REAL else BESIDE
    if not folder.is_dir():
        pytest.skip(f"no real data sets: there is no {BESIDE}, and JAXMLP_DATA names none")
    return folder


def test_mnist_is_read(real):
    (x, y), (x_test, y_test) = data_sets.images(data_sets.MNIST, real)
    assert (x.shape, x_test.shape) == ((60_000, 784), (10_000, 784))
    assert (round(float(x.mean()), 4), round(float(x_test.std()), 4)) == (0.1307, 0.3105)
    assert np.bincount(y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_fashion_mnist_is_read(real):
    (x, y), (x_test, y_test) = data_sets.images(data_sets.FASHION_MNIST, real)
    assert (round(float(x.mean()), 4), round(float(x_test.std()), 4)) == (0.2860, 0.3524)
    assert (np.bincount(y).tolist(), np.bincount(y_test).tolist()) == ([6000] * 10, [1000] * 10)


def test_pumpkin_seeds_are_read(real):
    pytest.importorskip("openpyxl", reason="xlsx files are read by openpyxl, which is not installed")
    table, y = data_sets.pumpkin_seeds(real)
    assert len(table) == 12
    assert all(values.shape == (2500,) and values.dtype == np.float64 for values in table.values())
    assert np.bincount(y).tolist() == [1300, 1200]
    assert (table["Area"][0], table["Perímetro"][0], table["Compacidade"][0]) == (56276, 888.242, 0.8207)


def test_wine_quality_is_read(real):
    of_red, of_white = [10, 53, 681, 638, 199, 18], [20, 163, 1457, 2198, 880, 175, 5]
    for color, counts in (("red", of_red), ("white", of_white)):
        table, quality = data_sets.wine_quality(color, real)
        assert len(table) == 11
        assert np.bincount(quality.astype(int)).tolist() == [0, 0, 0, *counts]
