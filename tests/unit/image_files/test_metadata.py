import io
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import piexif
import piexif.helper
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from webui.errors import BadImage
from webui.image_files.exif import exif_with_comment, user_comment
from webui.image_files.metadata import (
    EncodeOptions,
    Format,
    can_encode,
    can_hold,
    encode,
    read_metadata,
)

FORMATS: tuple[Format, ...] = ("png", "jpg", "webp", "avif", "gif")
TEXTS = [
    "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler, CFG scale: 7",
    '고양이, 猫 🐱\nSteps: 1, Custom: "é, ü"',
    "x" * 20_000,
    "half a pair \ud83d end",
]


def picture(mode: str = "RGB", size: tuple[int, int] = (16, 12)) -> Image.Image:
    gradient = np.arange(size[0] * size[1], dtype=np.uint32).reshape(size[1], size[0]) % 256
    return Image.fromarray(gradient.astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_infotext_comes_back_from_every_format(kind: Format, text: str) -> None:
    content = encode(picture(), EncodeOptions(format=kind), text)
    assert read_metadata(content).infotext == text.replace("\ud83d", "?")


@pytest.mark.parametrize("kind", FORMATS)
def test_without_an_infotext_nothing_is_stored(kind: Format) -> None:
    metadata = read_metadata(encode(picture(), EncodeOptions(format=kind)))
    assert metadata.infotext is None
    assert "exif comment" not in metadata.items


@pytest.mark.parametrize("kind", ["jpg", "webp", "avif"])
def test_a1111s_reader_finds_the_comment(kind: Format) -> None:
    """It reads with piexif, which takes the block as A1111 wrote it."""
    with Image.open(io.BytesIO(encode(picture(), EncodeOptions(format=kind), TEXTS[1]))) as image:
        loaded = piexif.load(image.info["exif"])
    raw = loaded["Exif"][piexif.ExifIFD.UserComment]
    assert raw.startswith(b"UNICODE\0")
    assert piexif.helper.UserComment.load(raw) == TEXTS[1]


def test_a1111s_comments_are_read() -> None:
    comment = piexif.helper.UserComment.dump(TEXTS[1], encoding="unicode")
    block = piexif.dump({"0th": {271: b"maker"}, "Exif": {piexif.ExifIFD.UserComment: comment}})
    assert user_comment(block) == TEXTS[1]


@pytest.mark.parametrize(
    ("code", "body", "text"),
    [
        (b"ASCII\0\0\0", b"plain", "plain"),
        (b"\0" * 8, "é".encode(), "é"),
        (b"JIS\0\0\0\0\0", "猫".encode("shift_jis"), "猫"),
        (b"UNICODE\0", "little".encode("utf-16-le"), "little"),
        (b"no code ", b"at all", "no code at all"),
        (b"UNICODE\0", b"", None),
    ],
)
def test_other_encodings_are_read(code: bytes, body: bytes, text: str | None) -> None:
    block = piexif.dump({"Exif": {piexif.ExifIFD.UserComment: code + body}})
    assert user_comment(block) == text


def test_blocks_in_the_other_byte_order_are_read() -> None:
    comment = b"UNICODE\0" + "猫犬".encode("utf-16-le")
    first = struct.pack("<HHHIII", 1, 0x8769, 4, 1, 26, 0)
    inner = struct.pack("<HHHIII", 1, 0x9286, 7, len(comment), 44, 0)
    assert user_comment(b"II*\0\x08\0\0\0" + first + inner + comment) == "猫犬"


def test_damaged_blocks_say_nothing() -> None:
    block = exif_with_comment("some text")
    assert user_comment(b"") is None
    assert user_comment(b"Exif\0\0XX") is None
    assert user_comment(block[:20]) is None
    dice = random.Random(3)
    for _ in range(2000):
        broken = bytearray(block)
        for _ in range(dice.randrange(1, 6)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        answer = user_comment(bytes(broken))
        assert answer is None or len(answer) <= len(block)


def test_exif_wins_over_the_chunk() -> None:
    info = PngInfo()
    info.add_text("parameters", "from the chunk")
    info.add_text("Comment", "kept")
    out = io.BytesIO()
    picture().save(out, "PNG", pnginfo=info, exif=exif_with_comment("from exif"))
    metadata = read_metadata(out.getvalue())
    assert metadata.infotext == "from exif"
    assert metadata.items == {"Comment": "kept", "exif comment": "from exif"}


def test_other_chunks_are_kept() -> None:
    content = encode(picture(), infotext="new", texts={"extras": "up 2", "workflow": "{猫}"})
    assert read_metadata(content).items == {"extras": "up 2", "workflow": "{猫}"}
    replaced = encode(picture(), infotext="new", texts={"parameters": "old"})
    assert read_metadata(replaced).infotext == "new"
    alone = encode(picture(), texts={"parameters": "old"})
    assert read_metadata(alone).infotext == "old"


def test_recorded_pictures_say_what_png_info_answered(golden: Path) -> None:
    cases = {
        case["file"]: case["png_info"]
        for case in json.loads((golden / "extras/png_info.json").read_text())
    }
    content = (golden / "pictures/tiny/e/blur_xy.png").read_bytes()
    answer = cases["tiny/e/blur_xy.png"]
    metadata = read_metadata(content)
    assert (metadata.infotext, metadata.items) == (answer["info"], answer["items"])


def novelai(comment: str) -> bytes:
    chunks = {"Software": "NovelAI", "Description": "a cat", "Comment": comment}
    return encode(picture(size=(64, 32)), texts=chunks)


def test_novelai_pictures_are_translated() -> None:
    notes = {"sampler": "k_euler_ancestral", "uc": "dog", "steps": 28, "scale": 11.0, "seed": 7}
    assert read_metadata(novelai(json.dumps(notes))).infotext == (
        "a cat\nNegative prompt: dog\nSteps: 28, Sampler: Euler a, CFG scale: 11.0, Seed: 7, "
        "Size: 64x32, Clip skip: 2, ENSD: 31337"
    )


@pytest.mark.parametrize("comment", ["", "[]", "null", "{", '{"sampler": 1}', "[" * 100_000])
def test_damaged_notes_of_novelai_say_nothing(comment: str) -> None:
    assert read_metadata(novelai(comment)).infotext is None


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(BadImage):
        read_metadata(b"a text")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_pixels_survive_in_any_mode(mode: str, kind: Format) -> None:
    if mode == "I;16":
        values = np.arange(0, 65536, 341, dtype=np.uint16)[:192].reshape(12, 16)
        image = Image.fromarray(values)
        assert image.mode == "I;16"
        wanted = values / 257 if kind != "png" else values
    else:
        image = picture(mode)
        wanted = np.asarray(image.convert("L")).astype(float)
    content = encode(image, EncodeOptions(format=kind, quality=100))
    with Image.open(io.BytesIO(content)) as read:
        got = np.asarray(read if read.mode.startswith("I") else read.convert("L")).astype(float)
    assert np.abs(got - wanted).max() <= (0 if kind == "png" else 3)


def test_quality_and_lossless_are_obeyed() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))

    def size_of(**options: object) -> int:
        return len(encode(noise, EncodeOptions(**options)))  # type: ignore[arg-type]

    for kind in ("jpg", "webp", "avif"):
        assert size_of(format=kind, quality=10) < size_of(format=kind, quality=95)
    lossless = encode(noise, EncodeOptions(format="webp", lossless=True))
    with Image.open(io.BytesIO(lossless)) as read:
        assert read.convert("RGB").tobytes() == noise.tobytes()


def test_what_does_not_fit_is_known_beforehand() -> None:
    assert can_encode((100_000, 1), "png")
    assert not can_encode((16_384, 1), "webp")
    assert not can_encode((1, 65_501), "jpg")
    assert can_hold("x" * 32_000, "jpg")
    assert not can_hold("x" * 33_000, "jpg")
    assert can_hold("x" * 33_000, "webp")
    assert (
        read_metadata(encode(picture(), EncodeOptions(format="jpg"), "x" * 33_000)).infotext is None
    )


Opener = Callable[[bytes], Image.Image]


@pytest.mark.parametrize("kind", ["jpg", "webp", "avif"])
def test_the_picture_itself_stays_upright(kind: Format) -> None:
    with Image.open(io.BytesIO(encode(picture(), EncodeOptions(format=kind), "t"))) as image:
        assert image.size == (16, 12)
        assert image.getexif().get(0x0112, 1) == 1
