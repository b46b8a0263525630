"""Files as people bring them: in many layouts, broken in many ways."""

import gzip
import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from poise.config import PoiseError
from poise.diagnostics.logs.log import Log
from poise.diagnostics.logs.reading.opening import open_log

Write = Callable[[str | bytes], Log]


@pytest.fixture
def read(tmp_path: Path) -> Write:
    """Reads a file with this content."""

    def write_and_read(content: str | bytes) -> Log:
        path = tmp_path / "a log.txt"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return open_log(str(path))

    return write_and_read


def rows(*pairs: tuple[int, float], step: str = "step") -> str:
    return "".join(json.dumps({step: at, "loss": value}) + "\n" for at, value in pairs)


def steps(log: Log) -> list[int]:
    return [step for step, _ in log.history]


def test_json_lines_are_read_by_step(read: Write) -> None:
    log = read(rows((10, 8.3), (20, 8.1)))
    assert log.history == [(10, {"loss": 8.3}), (20, {"loss": 8.1})]
    assert (log.layout, log.unit, log.rows, log.notes) == ("JSON lines", "step", 2, ())


def test_numbers_that_are_not_finite_are_kept(read: Write) -> None:
    log = read('{"step": 1, "loss": NaN, "a": Infinity, "b": "NaN", "c": -Infinity, "d": 1e999}\n')
    values = log.history[0][1]
    assert math.isnan(values["loss"]) and math.isnan(values["b"])
    assert (values["a"], values["c"], values["d"]) == (math.inf, -math.inf, math.inf)


def test_what_is_no_number_is_left_out(read: Write) -> None:
    row = {"step": 1, "loss": 2.5, "name": "a", "done": True, "list": [1], "none": None, "p": "5%"}
    assert read(json.dumps(row)).columns == {"loss": 1}


def test_groups_of_values_are_read_with_their_path(read: Write) -> None:
    log = read('{"step": 1, "train": {"loss": 2.5, "teacher": {"entropy": 1}}}')
    assert log.columns == {"train/loss": 1, "train/teacher/entropy": 1}


@pytest.mark.parametrize(
    ("last", "note"),
    [
        ('{"step": 30, "lo', "its last line is cut off and is left out"),
        ('{"done": 1}\n', "left out 1 row without step"),
    ],
)
def test_a_last_row_that_is_cut_off_or_has_no_step_is_left_out_and_noted(
    read: Write, last: str, note: str
) -> None:
    log = read(rows((10, 8.3), (20, 8.1)) + last)
    assert steps(log) == [10, 20]
    assert log.notes == (note,)


def test_broken_lines_are_counted(read: Write) -> None:
    log = read(rows((10, 8.3)) + "Traceback …\n[1, 2]\n" + rows((20, 8.1), (30, 8), (40, 7)))
    assert steps(log) == [10, 20, 30, 40]
    assert "2 of 6 lines are not JSON objects" in log.notes[0] and "line 2" in log.notes[0]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("\ufeff", "is empty"),
        ('{"step": 1, "lo', "1 of its lines are not JSON objects"),
        ("{\n" + '"step": 1,\n' * 300 + "}", "not JSON objects"),
        ('[{"step": 1, "loss": 2}]', "jq -c '.[]'"),
        ("[" * 100_000, "is one JSON list"),
        ('{"a": ' + "[" * 100_000, "not JSON objects"),
        ('{"step": ' + "9" * 10_000 + ', "loss": 1}', "not JSON objects"),
        ("Epoch: [0/100]  [0/1251]  loss: 11.09", "is neither JSON lines nor CSV"),
        ("1,2,3\n4,5,6\n", "its first line holds numbers"),
        ("step,loss,loss\n1,2,3\n", "two columns are called 'loss'"),
        ("step,loss\n", "it has no rows"),
        ("step,loss\n1\n2\n3\n", "none of its 3 rows has the 2 cells"),
        (b"SQLite format 3\0" + b"\0" * 100, "--store sqlite:////PATH runs:/RUN_ID"),
        (b"PK\x03\x04" + b"\0" * 100, "is a zip archive or a checkpoint"),
        (b"\x7fELF\0\0", "is not a text file"),
        (b"\x1f\x8b\x08garbage", "is empty or cut off"),
        (b"\x1f\x8b\x00garbage", "the gzipped file is damaged"),
        ('{"step": 1, "text": "' + "x" * 2_000_000 + '"}', "has a line of more than"),
        ('{"loss": 1}\n' * 3 + "{" * 5_000_000, "has a line of more than"),
    ],
    ids=lambda value: f"{len(value)} characters",  # some are too long for a name
)
def test_what_is_no_log_is_refused_in_one_line(
    read: Write, content: str | bytes, complaint: str
) -> None:
    with pytest.raises(PoiseError) as error:
        read(content)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_missing_file_and_an_unreadable_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="there is no such file or folder"):
        open_log(str(tmp_path / "nowhere.txt"))


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: gzip.compress(text.encode()),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\n\n" + text.encode(),
    ],
    ids=["BOM", "UTF-16", "gzip", "Windows line ends", "empty lines"],
)
def test_usual_encodings_are_read(read: Write, encode: Callable[[str], bytes]) -> None:
    assert steps(read(encode(rows((10, 8.3), (20, 8.1))))) == [10, 20]
    assert steps(read(encode("step,loss\n10,8.3\n20,8.1\n"))) == [10, 20]


def test_a_gzipped_file_that_is_cut_off_is_read_to_its_end(read: Write) -> None:
    text = rows(*((step, 1 / (1 + step)) for step in range(5000)))
    log = read(gzip.compress(text.encode())[:-2000])
    assert 0 < len(log.history) < 5000
    assert any("cut off" in note for note in log.notes)


def test_a_short_gzipped_file_that_is_cut_off_is_read_to_its_end(read: Write) -> None:
    packed = gzip.compress(rows(*((step, 1 / (1 + step)) for step in range(60))).encode())
    log = read(packed[: len(packed) - len(packed) // 3])
    assert 0 < len(log.history) < 60
    assert any("cut off" in note for note in log.notes)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_is_read_with_its_gaps(read: Write, delimiter: str) -> None:
    text = "epoch,step,train_loss,val_loss\n0,49,8.3,\n0,49,,7.9\n0,99,8.1,\n1,149,nan,\n"
    log = read(text.replace(",", delimiter))
    assert log.history[:2] == [(49, {"epoch": 0, "train_loss": 8.3, "val_loss": 7.9}),
                               (99, {"epoch": 0, "train_loss": 8.1})]  # fmt: skip
    assert math.isnan(log.history[2][1]["train_loss"])
    assert (log.layout, log.unit) == ("CSV", "step")


def test_decimal_commas_between_semicolons_are_read(read: Write) -> None:
    assert read("step;loss\n1;8,25\n").history == [(1, {"loss": 8.25})]


def test_columns_of_text_are_left_out_of_csv(read: Write) -> None:
    log = read("step,loss,stage\n1,8.3,train\n2,8.2,train\n")
    assert log.columns == {"loss": 2}


def test_a_row_of_csv_that_is_cut_off_and_a_second_header_are_left_out(read: Write) -> None:
    log = read("step,loss\n1,8.3\n2,8.2\nstep,loss\n3,8.1\n4")
    assert steps(log) == [1, 2, 3]
    assert log.notes == ("left out 2 rows without 2 cells",)


# ---- steps --------------------------------------------------------------------------------------


def test_epochs_count_where_there_are_no_steps(read: Write) -> None:
    log = read(rows((0, 8.3), (1, 8.2), step="epoch"))
    assert (log.unit, steps(log)) == ("epoch", [0, 1])


def test_steps_go_before_epochs(read: Write) -> None:
    log = read('{"epoch": 0, "iteration": 10, "loss": 1}\n{"epoch": 0, "iteration": 20, "loss": 1}')
    assert (log.unit, steps(log)) == ("step", [10, 20])


@pytest.mark.parametrize("name", ["trainer/global_step", "_step", "Step", "train_iter"])
def test_usual_names_of_steps_are_known(read: Write, name: str) -> None:
    assert steps(read(rows((10, 8.3), (20, 8.1), step=name))) == [10, 20]


@pytest.mark.parametrize("values", [("0.5", "1.0"), ("-1", "0"), ('"a"', '"b"'), ("NaN", "NaN")])
def test_rows_are_counted_without_whole_steps(read: Write, values: tuple[str, str]) -> None:
    log = read("".join(f'{{"step": {value}, "loss": 8}}\n' for value in values))
    assert (log.unit, steps(log)) == ("row", [0, 1])
    assert "its rows are counted" in log.notes[0]


def test_rows_are_counted_where_each_epoch_has_many(read: Write) -> None:
    log = read(
        "".join(rows((epoch, 8 - 0.1 * i), step="epoch") for epoch in range(3) for i in range(9))
    )
    assert (log.unit, len(log.history)) == ("row", 27)


def test_a_named_column_counts_the_steps(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "seen": 64, "loss": 8}\n{"step": 2, "seen": 128, "loss": 8}\n')
    assert steps(open_log(str(path), "seen")) == [64, 128]
    with pytest.raises(PoiseError, match="no such column"):
        open_log(str(path), "seem")
    path.write_text('{"time": 1.5, "loss": 8}\n')
    with pytest.raises(PoiseError, match="whole numbers"):
        open_log(str(path), "time")


# ---- resumed runs -------------------------------------------------------------------------------


def test_after_a_resume_the_later_rows_count_and_the_lost_ones_go(read: Write) -> None:
    log = read(rows((10, 1), (20, 2), (30, 3), (40, 4), (20, 5), (30, 6)))
    assert log.history == [(10, {"loss": 1}), (20, {"loss": 5}), (30, {"loss": 6})]
    assert log.notes == (
        "the log went back once, from step 40 to step 20, as after a resume: of repeated parts the "
        "later one is judged",
    )


def test_a_second_run_in_the_same_file_replaces_the_first(read: Write) -> None:
    log = read(rows((0, 1), (1, 2), (2, 3), (0, 4), (1, 5), step="epoch"))
    assert log.history == [(0, {"loss": 4}), (1, {"loss": 5})]


def test_repeated_steps_are_noted_and_the_last_counts(read: Write) -> None:
    log = read(rows((10, 1), (10, 2), (20, 3)))
    assert log.history == [(10, {"loss": 2}), (20, {"loss": 3})]
    assert log.notes == ("1 row gave another value for an earlier step: the last row counts",)


@pytest.mark.parametrize(
    "order", [range(50, 0, -1), [23 * i % 51 for i in range(1, 50)], [1, 9, 2, 8, 3, 7, 4, 6, 5]]
)
def test_a_log_out_of_order_is_refused(read: Write, order: list[int]) -> None:
    with pytest.raises(PoiseError, match="sort its rows by step"):
        read(rows(*((step, 1.0) for step in order)))


# ---- long logs ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_long_log_keeps_its_beginning_its_end_and_every_metric(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    with path.open("w") as file:
        file.write("step,train_loss,val_loss\n")
        for step in range(90_000):
            file.write(f"{step},{step / 2},\n" if step % 2 else f"{step},,{step}\n")
    log = open_log(str(path))
    assert len(log.history) <= 20_000 and log.rows == 90_000
    assert steps(log)[:10] == list(range(10))
    assert log.history[-1][0] == 89_999
    assert log.history[-1][1]["train_loss"] == 89_999 / 2
    assert steps(log) == sorted(set(steps(log)))
    assert all(len(values) == 2 for _, values in log.history[100:-1])
    assert any("are judged as one" in note for note in log.notes)


@pytest.mark.slow
def test_a_log_of_60000_rows_needs_no_more_memory_than_its_entries(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with path.open("w") as file:
        for step in range(60_000):
            file.write(f'{{"step": {step}, "loss": 8.3, "lr": 0.1}}\n')
    tracemalloc.start()
    log = open_log(str(path))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (log.rows, log.history[-1][0]) == (60_000, 59_999)
    assert most < 20e6


# ---- folders ------------------------------------------------------------------------------------


def test_the_only_log_of_a_folder_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "lightning_logs" / "version_0"
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text("step,loss\n1,2\n")
    (folder / "hparams.yaml").write_text("lr: 1\n")
    assert open_log(str(tmp_path)).source == str(folder / "metrics.csv")


def test_two_logs_in_a_folder_are_refused_with_a_command_for_each(tmp_path: Path) -> None:
    for version in ("version_0", "version 1"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "metrics.csv").write_text("step,loss\n1,2\n")
    with pytest.raises(PoiseError) as error:
        open_log(str(tmp_path))
    message = str(error.value)
    assert f"poise judge {tmp_path}/version_0/metrics.csv" in message
    assert f"poise judge '{tmp_path}/version 1/metrics.csv'" in message


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PoiseError, match=r"has no log; name the file \(looked for log\.txt"):
        open_log(str(tmp_path))
