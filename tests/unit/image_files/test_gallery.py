import csv
import io
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from webui.errors import StorageError
from webui.image_files.gallery import LogRow, append_log, write_zip

ROW = LogRow(
    prompt="a cat, red",
    seed=5,
    width=64,
    height=32,
    sampler="Euler",
    cfgs=7.0,
    steps=20,
    filename="00001-5.png",
    negative_prompt="",
    sd_model_name="m",
    sd_model_hash="0123456789",
)


def rows(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))


def test_the_log_has_a_header_and_a_line_a_picture(tmp_path: Path) -> None:
    file = tmp_path / "log" / "log.csv"
    append_log(file, ROW)
    append_log(file, ROW)
    assert file.read_text(encoding="utf-8").splitlines()[0] == (
        "prompt,seed,width,height,sampler,cfgs,steps,filename,negative_prompt,"
        "sd_model_name,sd_model_hash"
    )
    assert [row["prompt"] for row in rows(file)] == ["a cat, red"] * 2
    assert rows(file)[0]["cfgs"] == "7.0"


@pytest.mark.parametrize("prompt", ["=cmd()", "+1", "-1", "@SUM(A1)", '=HYPERLINK("x")'])
def test_no_cell_can_start_a_formula(tmp_path: Path, prompt: str) -> None:
    file = tmp_path / "log.csv"
    append_log(file, replace(ROW, prompt=prompt, negative_prompt=prompt))
    (row,) = rows(file)
    assert row["prompt"] == row["negative_prompt"] == f"'{prompt}"
    assert row["seed"] == "5"


def test_control_characters_are_blanked_and_lines_kept_in_one_cell(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    append_log(file, replace(ROW, prompt="a\nb\x1b]0;x\x07\r\ud800"))
    (row,) = rows(file)
    assert row["prompt"] == "a\nb ]0;x   "


def test_threads_write_whole_lines_and_one_header(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    threads = [threading.Thread(target=append_log, args=(file, ROW)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row["filename"] for row in rows(file)] == ["00001-5.png"] * 20


def test_archives_hold_every_picture_once(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    pictures = [tmp_path / "a.png", tmp_path / "other" / "a.png", tmp_path / "b.jpg"]
    for index, picture in enumerate(pictures):
        picture.write_bytes(bytes([index]))
    write_zip(tmp_path / "out.zip", pictures)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "a.png": b"\0",
            "a-2.png": b"\1",
            "b.jpg": b"\2",
        }


def test_what_cannot_be_written_gives_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        write_zip(tmp_path / "out.zip", [tmp_path / "gone.png"])
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        append_log(tmp_path / "file" / "log.csv", ROW)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
