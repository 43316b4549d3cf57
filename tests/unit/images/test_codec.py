import base64
import io
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from webui.errors import BadImage
from webui.images.codec import (
    DEFAULT_LIMITS,
    Limits,
    bytes_of_base64,
    decode,
    decode_base64,
    png_bytes,
    to_base64,
    to_data_url,
)
from webui.images.png_text import SIGNATURE, read_texts

Noise = Callable[..., Image.Image]


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and one.size == other.size and one.tobytes() == other.tobytes()


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return SIGNATURE + b"".join(
        [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND")]
    )


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def gif(frames: int) -> bytes:
    images = [Image.new("P", (1, 1), i % 2) for i in range(frames)]
    for image in images:
        image.putpalette([0, 0, 0, 255, 255, 255])
    return encoded(images[0], "GIF", save_all=True, append_images=images[1:], duration=20)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG", "AVIF"])
def test_every_allowed_format_is_decoded(kind: str) -> None:
    image = Image.new("RGB", (40, 30), (10, 200, 60))
    got = decode(encoded(image, kind)).convert("RGB")
    assert got.size == (40, 30)
    assert np.abs(np.asarray(got).astype(int) - np.asarray(image)).max() <= 6


def test_base64_and_data_urls_round_trip(noise: Noise) -> None:
    image = noise(20, 10, "RGBA")
    content = png_bytes(image)
    for text in (to_base64(content), to_data_url(content), f"\n{to_base64(content)} ".rstrip("=")):
        assert same(decode_base64(text), image)
    wrapped = base64.encodebytes(content).decode()
    assert bytes_of_base64(wrapped) == content


def test_pictures_come_out_upright() -> None:
    image = Image.new("RGB", (40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(image, "JPEG", exif=exif)).size == (20, 40)


def fifty_thousand() -> bytes:
    return png(50_000, 50_000)


def hundred_texts() -> bytes:
    packed = zlib.compress(b"a" * 1_000_000)
    return png(8, 8, *[chunk(b"zTXt", b"key%d\0\0" % i + packed) for i in range(100)])


def one_huge_text() -> bytes:
    return png(8, 8, chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(b"a" * 200_000_000, 9)))


def many_frames_apng() -> bytes:
    return png(8, 8, chunk(b"acTL", struct.pack(">II", 1000, 0)))


def many_pages_tiff() -> bytes:
    pages = [Image.new("L", (1, 1)) for _ in range(150)]
    return encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])


def circular_tiff() -> bytes:
    return b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0"


def progressive_bomb() -> bytes:
    content = encoded(Image.new("RGB", (64, 64)), "JPEG", progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + scan * 5000 + b"\xff\xd9"


def many_chunks() -> bytes:
    return png(8, 8, chunk(b"tIME") * 200_000)


HOSTILE = {
    "huge size": (fifty_thousand, "50000 x 50000"),
    "hundred texts": (hundred_texts, "of text"),
    "one huge text": (one_huge_text, "MB of text"),
    "gif of 1000 frames": (lambda: gif(1000), "frames"),
    "apng of 1000 frames": (many_frames_apng, "frames"),
    "tiff of 150 pages": (many_pages_tiff, "frames"),
    "tiff in a circle": (circular_tiff, "picture"),
    "jpeg of 5000 scans": (progressive_bomb, "passes"),
    "png of 200000 chunks": (many_chunks, "pieces"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
    "eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
    "pdf": (lambda: b"%PDF-1.4\n", "no picture"),
    "html": (lambda: b"<html><script>alert(1)</script>", "no picture"),
    "nothing": (lambda: b"", "empty"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_little_memory(name: str) -> None:
    make, sentence = HOSTILE[name]
    content = make()
    tracemalloc.start()
    try:
        with pytest.raises(BadImage, match=sentence):
            decode(content)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_animations_within_bounds_give_their_first_frame() -> None:
    assert decode(gif(50)).convert("L").getpixel((0, 0)) == 0


def test_bounds_can_be_narrowed() -> None:
    content = encoded(Image.new("RGB", (100, 100)), "PNG")
    assert decode(content, Limits(pixels=10_000)).size == (100, 100)
    with pytest.raises(BadImage, match="100 x 100"):
        decode(content, Limits(pixels=9_999))
    with pytest.raises(BadImage, match="MB"):
        decode(content, Limits(bytes=50))
    with pytest.raises(BadImage, match="MB"):
        decode_base64(to_base64(b"a" * 5000), Limits(bytes=50))


@pytest.mark.parametrize(
    "text", ["data:image/png,abc", "data:image/png;base64", "ä", "abc", "@@@@"]
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(BadImage):
        decode_base64(text)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
def test_broken_files_give_a_sentence_or_a_picture(kind: str, noise: Noise) -> None:
    """Cut and flipped bytes: a picture of the right kind, or BadImage; nothing else."""
    content = encoded(noise(24, 24), kind)
    dice = random.Random(1)
    refused = 0
    for _ in range(150):
        broken = bytearray(content)
        if dice.random() < 0.4:
            del broken[dice.randrange(1, len(broken)) :]
        for _ in range(dice.randrange(1, 12)):
            broken[dice.randrange(min(len(broken), 400))] = dice.randrange(256)
        try:
            image = decode(bytes(broken), Limits(pixels=1_000_000))
            assert image.width * image.height <= 1_000_000
        except BadImage as error:
            refused += 1
            assert str(error).endswith(".")
    assert refused > 0


def test_all_kinds_of_text_chunks_are_read() -> None:
    info = PngInfo()
    info.add_text("parameters", "plain é")
    info.add_text("packed", "x" * 5000, zip=True)
    info.add_itxt("wide", "猫", "ko", "고양이", zip=True)
    content = encoded(Image.new("L", (1, 1)), "PNG", pnginfo=info)
    assert read_texts(content) == {"parameters": "plain é", "packed": "x" * 5000, "wide": "猫"}


def test_malformed_text_chunks_are_passed_over() -> None:
    content = png(
        8,
        8,
        chunk(b"tEXt", b"no separator"),
        chunk(b"zTXt", b"key\0\0not zlib"),
        chunk(b"iTXt", b"key\0\0\0"),
        chunk(b"tEXt", b"good\0value"),
    )
    assert read_texts(content) == {"good": "value"}
    assert read_texts(content[:20]) == {}


def test_the_default_limits_are_below_pillows() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert DEFAULT_LIMITS.pixels < Image.MAX_IMAGE_PIXELS
