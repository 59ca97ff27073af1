import csv
import os
import struct
import sys
import types

import numpy as np
import pytest

from jaxmlp import logs

NAN = np.nan
LOSS = np.array([1 / 3, 0.1, NAN, np.inf, 1e-30, -0.0], np.float32)
NORMS = np.array([[1, 2], [3, NAN], [5, 6], [7, 8], [9, 0.1], [11, 12]], np.float32)


def view(epochs, factor=1.0, **more):
    """A run as it stands after some epochs."""
    history = {"train/loss": np.float32(factor) * LOSS, "norms": NORMS} | more
    return types.SimpleNamespace(history={name: values[:epochs] for name, values in history.items()})


def text(epochs):
    """What the file of a run holds."""
    rows = [
        "epoch,train/loss,norms[0],norms[1]",
        "1,0.3333333432674408,1.0,2.0",
        "2,0.10000000149011612,3.0,",
        "3,,5.0,6.0",
        "4,inf,7.0,8.0",
        "5,1.0000000031710769e-30,9.0,0.10000000149011612",
        "6,-0.0,11.0,12.0",
    ]
    return "".join(f"{row}\n" for row in rows[: epochs + 1])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new folder" / "run.csv"


def read(path):
    return path.read_bytes().decode()


def test_csv_has_one_line_per_epoch_and_one_column_per_layer(path):
    assert logs.CSV(path)(6, view(6)) is None
    assert read(path) == text(6)


def test_csv_reads_back_exactly(path):
    tricky = 'of "a", ß'
    logs.CSV(path)(6, view(6, **{tricky: np.pi * np.arange(6)}))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    for name, expected in (("train/loss", LOSS), ("norms[1]", NORMS[:, 1]), (tricky, np.pi * np.arange(6))):
        np.testing.assert_array_equal([float(row[name] or "nan") for row in rows], expected.astype(float))


def test_csv_grows_by_the_new_epochs_at_each_call(path):
    log = logs.CSV(path)
    for epoch in (0, 1, 1, 4, 6, 6):
        log(epoch, view(epoch))
        assert (read(path) == text(epoch)) if epoch else not path.exists()


def test_csv_keeps_its_file_so_that_it_can_be_followed(path):
    logs.CSV(path)(2, view(2))
    with path.open() as follower:
        follower.read()
        log = logs.CSV(path)
        log(2, view(2))
        log(3, view(3))
        assert follower.read() == "3,,5.0,6.0\n"


def test_csv_appends_without_reading_or_writing_what_is_there(path):
    log = logs.CSV(path)
    log(2, view(2))
    path.write_text("changed\n")
    log(3, view(3))
    assert read(path) == "changed\n3,,5.0,6.0\n"


@pytest.mark.parametrize("earlier", [1, 2, 3, 5])
def test_csv_of_a_resumed_run_holds_its_history_and_nothing_else(path, earlier):
    changed = view(earlier)
    changed.history["norms"] = changed.history["norms"].copy()
    changed.history["norms"][1:] = 1e9  # the other end of the run, with other and longer numbers
    logs.CSV(path)(earlier, changed)
    log = logs.CSV(path)
    log(3, view(3))
    assert read(path) == text(3)
    log(6, view(6))
    assert read(path) == text(6)


def test_csv_mends_a_line_that_was_cut_off(path):
    logs.CSV(path)(3, view(3))
    for size in range(path.stat().st_size):
        os.truncate(path, size)
        logs.CSV(path)(3, view(3))
        assert read(path) == text(3)


@pytest.mark.parametrize(
    "foreign",
    [
        b"dear diary",
        b"\x89PNG\r\n\x1a\n\xff",
        b"epoch,train/loss\n1,0.3333333432674408\n",  # other columns
        text(3).encode().replace(b"1,0.3", b"1,0.4"),  # another run's
        text(0).encode() + b"1,0.33333334326744081\n",
        b"\n",
    ],
)
def test_csv_refuses_a_file_that_is_not_the_runs_and_leaves_it(tmp_path, foreign):
    path = tmp_path / "diary"
    path.write_bytes(foreign)
    log = logs.CSV(path)
    for epoch in (2, 3):
        with pytest.raises(ValueError, match=r"path is .*diary, which begins with b['\"].*; give another path"):
            log(epoch, view(epoch))
        assert path.read_bytes() == foreign


def test_csv_does_not_mix_two_runs(path):
    log = logs.CSV(path)
    log(3, view(3))
    for epoch in (1, 3, 6):
        with pytest.raises(ValueError, match="which begins with"):
            log(epoch, view(epoch, factor=2.0))
        assert read(path) == text(3)
    log(2, view(2))  # the same run over again
    assert read(path) == text(2)


def test_csv_begins_anew_when_its_file_was_taken_away(path):
    log = logs.CSV(path)
    log(2, view(2))
    path.unlink()
    log(3, view(3))
    assert read(path) == text(3)


def test_csv_stays_at_its_file_when_the_program_changes_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = logs.CSV("run.csv")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    log(1, view(1))
    assert read(tmp_path / "run.csv") == text(1)


@pytest.mark.parametrize("kind", ["CSV", "TensorBoard"])
def test_logs_leave_the_run_as_it_is(tmp_path, kind):
    if kind == "TensorBoard":
        pytest.importorskip("tensorboardX")
    run = view(6)
    for values in run.history.values():
        values.flags.writeable = False
    before = dict(run.history)
    log = getattr(logs, kind)(tmp_path / "log")
    assert log(6, run) is None
    assert list(run.history) == list(before)
    assert all(run.history[name] is before[name] for name in before)
    if kind == "TensorBoard":
        log.close()


def events(path):
    """The events of a file: records of length, its checksum, data, its checksum."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12]) == (masked_crc32c(data[:8]),)
        assert struct.unpack("<I", data[12 + length : 16 + length]) == (masked_crc32c(data[12 : 12 + length]),)
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def scalars(folder):
    """The (step, value) by tag that TensorBoard shows: a session's start hides the steps from its own on."""
    shown = {}
    for path in sorted(folder.glob("*tfevents*")):
        first, *others = events(path)
        assert first.file_version == "brain.Event:2"
        for event in others:
            if event.HasField("session_log"):
                assert event.session_log.status == event.session_log.START
                shown = {tag: [(s, v) for s, v in points if s < event.step] for tag, points in shown.items()}
            for value in event.summary.value:
                shown.setdefault(value.tag, []).append((event.step, value.simple_value))
    return shown


def expected_scalars(epochs):
    columns = {"train/loss": LOSS, "norms/0": NORMS[:, 0], "norms/1": NORMS[:, 1]}
    points = {tag: list(enumerate(values[:epochs].tolist(), 1)) for tag, values in columns.items()}
    return {tag: [(step, value) for step, value in p if value == value] for tag, p in points.items()}


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("tensorboardX")
    return tmp_path / "runs" / "first"


def test_tensorboard_has_one_scalar_per_epoch_and_name_but_for_nan(folder):
    with logs.TensorBoard(folder) as log:
        assert log(6, view(6)) is None
    assert scalars(folder) == expected_scalars(6)
    assert [step for step, _ in scalars(folder)["train/loss"]] == [1, 2, 4, 5, 6]
    assert [step for step, _ in scalars(folder)["norms/1"]] == [1, 3, 4, 5, 6]


def test_tensorboard_has_each_call_on_the_disk_at_once(folder):
    with logs.TensorBoard(folder) as log:
        for epoch in (0, 1, 1, 4, 6, 6):
            log(epoch, view(epoch))
            assert scalars(folder) == (expected_scalars(epoch) if epoch else {})
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("resumed", [1, 3, 5])
def test_tensorboard_of_a_resumed_run_is_one_curve(folder, resumed):
    with logs.TensorBoard(folder) as log:
        log(4, view(4))
    (first,) = folder.iterdir()
    before = first.read_bytes()
    with logs.TensorBoard(folder) as log:
        log(resumed, view(resumed))
        assert scalars(folder) == expected_scalars(resumed)
        log(6, view(6))
    assert scalars(folder) == expected_scalars(6)
    assert first.read_bytes() == before


def test_tensorboard_does_not_mix_two_runs(folder):
    with logs.TensorBoard(folder) as log:
        log(4, view(4, factor=2.0))
        log(4, view(4))
        assert scalars(folder) == expected_scalars(4)
        log(2, view(2))
        assert scalars(folder) == expected_scalars(2)


def test_tensorboard_begins_anew_after_it_was_closed(folder):
    log = logs.TensorBoard(folder)
    log.close()
    assert not folder.exists()
    log(2, view(2))
    log.close()
    log.close()
    log(3, view(3))
    log.close()
    assert scalars(folder) == expected_scalars(3)
    assert len(list(folder.iterdir())) == 2


def test_tensorboard_closes_its_file_when_the_run_fails(folder):
    log = logs.TensorBoard(folder)

    def fail():
        with log:
            log(1, view(1))
            file = log._file
            raise RuntimeError(file)

    with pytest.raises(RuntimeError) as caught:
        fail()
    assert caught.value.args[0]._writer.closed


def test_tensorboard_says_at_once_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    sentence = r'logs.TensorBoard needs tensorboardX; install it by pip install "jaxmlp\[tensorboard\]"'
    with pytest.raises(ImportError, match=sentence):
        logs.TensorBoard(tmp_path)
