from __future__ import annotations

from pathlib import Path

import pytest

from webui.errors import InvalidRequest, StorageError
from webui.prompt.style_files import StyleBook, divider, load_styles, save_styles, style_paths
from webui.prompt.styles import Style


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "styles.csv"


def write(path: Path, text: str, encoding: str = "utf-8-sig") -> StyleBook:
    path.write_bytes(text.encode(encoding))
    return load_styles([path])


def test_styles_are_read_in_order(path: Path) -> None:
    book = write(
        path,
        "name,prompt,negative_prompt\r\n"
        'Watercolor,"watercolor, soft\nedges","photo, sharp"\r\n'
        'Öl,"say ""oil""",\r\n'
        "#later,x,y\r\n"
        ",nameless,\r\n"
        "Short\r\n",
    )
    assert book.problems == []
    assert list(book.styles.values()) == [
        Style("Watercolor", "watercolor, soft\nedges", "photo, sharp"),
        Style("Öl", 'say "oil"', ""),
        Style("Short"),
    ]


def test_the_first_format_called_the_prompt_text(path: Path) -> None:
    assert write(path, "name,text\nOld,oil\n", "utf-8").styles == {"Old": Style("Old", "oil")}


def test_saved_styles_are_read_again_and_the_old_file_is_kept(path: Path) -> None:
    old = "name,prompt,negative_prompt\n#note,keep me,\nA,a,b\n"
    book = write(path, old).with_style(Style("B", "multi\nline, {prompt}", '"n"'))
    save_styles(book)
    assert path.with_name("styles.csv.bak").read_text(encoding="utf-8-sig") == old
    assert path.read_bytes().startswith(
        b"\xef\xbb\xbfname,prompt,negative_prompt\r\n#note,keep me,"
    )
    assert load_styles([path]) == book
    assert {file.name for file in path.parent.iterdir()} == {"styles.csv", "styles.csv.bak"}


def test_a_missing_file_is_made_by_the_first_style(path: Path) -> None:
    book = load_styles([path])
    save_styles(book)
    assert not path.exists()
    save_styles(book.with_style(Style("A", "a")))
    assert load_styles([path]).styles == {"A": Style("A", "a")}


def test_styles_are_replaced_in_place_and_deleted(path: Path) -> None:
    book = write(path, "name,prompt,negative_prompt\nA,a,\nB,b,\n").with_style(Style("A", "new"))
    assert list(book.styles.values()) == [Style("A", "new"), Style("B", "b")]
    assert list(book.without("A").styles) == ["B"]
    save_styles(book.without("A").without("B"))
    assert path.read_text(encoding="utf-8-sig") == "name,prompt,negative_prompt\n"


def test_several_files_have_dividers_and_the_last_of_a_name_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "styles.csv", tmp_path / "portraits.csv"
    write(first, "name,prompt,negative_prompt\nA,a,\nB,b,\n")
    write(second, "name,prompt,negative_prompt\nC,c,\nA,other,\n")
    book = load_styles([first, second])
    assert book.names() == [divider(first), "A", "B", divider(second), "C"]
    assert divider(second) == "-" * 14 + " PORTRAITS " + "-" * 15
    assert book.chosen([divider(first), "A", "nowhere", "B"]) == [
        Style("A", "other"),
        Style("B", "b"),
    ]
    save_styles(book.with_style(Style("C", "new")).with_style(Style("D", "d")))
    assert [style.name for style in load_styles([first]).styles.values()] == ["A", "B", "D"]
    assert load_styles([second]).styles["C"].prompt == "new"


def test_one_file_has_no_divider(path: Path) -> None:
    assert write(path, "name,prompt,negative_prompt\nA,a,\n").names() == ["A"]


def test_patterns(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "a.txt"):
        (tmp_path / name).touch()
    missing = tmp_path / "styles.csv"
    assert style_paths([missing, str(tmp_path / "*.csv"), missing]) == [
        missing,
        tmp_path / "a.csv",
        tmp_path / "b.csv",
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"name,prompt\nA,\xff\xfe\n",
        b"title,prompt\nA,a\n",
        b"name,prompt\nA," + b"x" * 200_000 + b"\n",
    ],
)
def test_an_unreadable_file_is_reported_and_never_overwritten(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    book = load_styles([path])
    assert len(book.problems) == 1
    assert path.name in book.problems[0]
    save_styles(book)
    with pytest.raises(StorageError, match=r"styles\.csv"):
        save_styles(book.with_style(Style("A", "a")))
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["", "  ", "#a"])
def test_names_that_cannot_be_stored_are_refused(path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="needs a name"):
        load_styles([path]).with_style(Style(name, "a"))


def test_a_divider_is_no_name(path: Path) -> None:
    with pytest.raises(InvalidRequest):
        load_styles([path]).with_style(Style(divider(path), "a"))


def test_a_template_that_could_not_be_read_again_is_refused(path: Path) -> None:
    with pytest.raises(InvalidRequest, match="shorten"):
        load_styles([path]).with_style(Style("A", "x" * 100_001))


def test_a_file_that_cannot_be_written_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    book = load_styles([tmp_path / "file" / "styles.csv"]).with_style(Style("A", "a"))
    with pytest.raises(StorageError, match="could not be written"):
        save_styles(book)
