import hashlib
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from webui.image_files.filenames import (
    FileNameFacts,
    NameRules,
    expand,
    file_stem,
    folder_parts,
    next_number,
    numbered_stem,
    safe_name,
    sanitize,
)

FACTS = FileNameFacts(
    created=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    job_timestamp="20260304050600",
    seed=11,
    seed_first=10,
    seed_last=13,
    prompt="A red Cat, (sitting: on) a <table>",
    prompt_no_styles="A red Cat",
    negative_prompt="blurry",
    styles=("Watercolor", "None", "Wrap"),
    steps=20,
    cfg_scale=7.5,
    width=512,
    height=768,
    sampler="DPM++ 2M",
    schedule="Karras",
    model_hash="0123456789",
    model_name="my model",
    vae_file="kl.ft.safetensors",
    clip_skip=2,
    denoising_strength=0.4,
    batch_size=4,
    batch_count=3,
    batch_index=2,
    index_in_batch=1,
    image_hash="ab" * 32,
    user="ann",
    basename="grid",
)
SINGLE = replace(FACTS, batch_size=1, batch_count=1, batch_index=0, index_in_batch=0)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[basename]", "grid"),
        ("[seed]", "11"),
        ("[seed_first]", "10"),
        ("[seed_last]", "13"),
        ("[steps]-[cfg]", "20-7.5"),
        ("[width]x[height]", "512x768"),
        ("[styles]", "Watercolor, Wrap"),
        ("[sampler]", "DPM++ 2M"),
        ("[scheduler]", "Karras"),
        ("[sampler_scheduler]", "DPM++ 2M Karras"),
        ("[model_hash]", "0123456789"),
        ("[model_name]", "my model"),
        ("[vae_filename]", "kl"),
        ("[date]", "2026-03-04"),
        ("[datetime]", "20260304050607"),
        ("[datetime<%H.%M>]", "05.06"),
        ("[datetime<%Y-%m-%d %H><Asia/Seoul>]", "2026-03-04 14"),
        ("[datetime<%H><No/Where>]", "05"),
        ("[datetime<%9999999d>]", "%9999999d"),
        ("[job_timestamp]", "20260304050600"),
        ("[prompt]", "A_red_Cat,_(sitting__on)_a__table_"),
        ("[prompt_spaces]", "A red Cat, (sitting_ on) a _table_"),
        ("[prompt_no_styles]", "A red Cat"),
        ("[prompt_words]", "A red Cat sitting on a table"),
        ("[prompt_hash]", digest(FACTS.prompt)[:8]),
        ("[prompt_hash<12>]", digest(FACTS.prompt)[:12]),
        ("[negative_prompt_hash]", digest("blurry")[:8]),
        ("[full_prompt_hash]", digest(f"{FACTS.prompt} blurry")[:8]),
        ("[image_hash<6>]", "ababab"),
        ("[image_hash]", "ab" * 32),
        ("[batch_number]", "2"),
        ("[batch_size]", "4"),
        ("[generation_number]", "10"),
        ("[hasprompt<cat><dog|none><bird>]", "catnone"),
        ("[clip_skip]", "2"),
        ("[denoising]", "0.4"),
        ("[user]", "ann"),
        ("[none]", ""),
        ("[SEED]", "11"),
        ("[unknown] [seed<3] [seed]", "[unknown] [seed<3] 11"),
        ("plain", "plain"),
        ("[[model_name]]", "[my model]"),
        ("a[b", "a[b"),
    ],
)
def test_patterns(pattern: str, name: str) -> None:
    assert expand(pattern, FACTS) == name


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[seed]-[batch_number]", "11"),
        ("[seed]-[generation_number]-[steps]", "11-20"),
        ("[seed]-[seed_last]", "11"),
        ("[seed_first]", "11"),
    ],
)
def test_what_means_nothing_takes_the_text_before_it_along(pattern: str, name: str) -> None:
    assert expand(pattern, SINGLE) == name


def test_more_values_that_mean_nothing() -> None:
    bare = replace(
        SINGLE, denoising_strength=None, schedule="", vae_file=None, prompt="", seed=None
    )
    assert expand("x-[denoising]", bare) == ""
    assert expand("x-[scheduler]", bare) == ""
    assert expand("x-[vae_filename]", bare) == "x-NoneType"
    assert expand("[prompt_words]", bare) == "empty"
    assert expand("[styles]", replace(bare, styles=())) == "None"
    assert expand("x-[seed]", bare) == "x-"
    assert expand("[seed]-[batch_number]", replace(FACTS, is_zip=True)) == "11"


def test_only_so_many_words_are_taken() -> None:
    assert expand("[prompt_words]", FACTS, NameRules(max_words=2)) == "A red"


def test_folders_are_those_of_the_pattern_alone() -> None:
    facts = replace(FACTS, prompt="../../etc/passwd", model_name="a/b\\c")
    assert folder_parts("[date]/[model_name]\\[prompt]", facts) == (
        "2026-03-04",
        "a_b_c",
        ".._.._etc_passwd",
    )
    assert folder_parts("../x/./[none]/..", facts) == ("x",)
    assert folder_parts("", facts) == ()


@pytest.mark.parametrize("name", ["CON", "nul.txt", "Com1", "lpt9"])
def test_reserved_names_are_avoided(name: str) -> None:
    assert safe_name(name) == f"_{name}"
    assert safe_name(f"{name.partition('.')[0]}x") == f"{name.partition('.')[0]}x"


def test_only_what_no_unix_disk_can_hold_is_replaced_on_request() -> None:
    assert sanitize('a:b?"c"/d', NameRules(unix=True)) == 'a:b?"c"_d'
    assert sanitize('a:b?"c"/d') == "a_b__c__d"


def test_values_are_cut_to_128_characters() -> None:
    assert expand("[prompt]", replace(FACTS, prompt="x" * 500)) == "x" * 128
    assert sanitize("  lead and trail. . ", keep_spaces=True) == "lead and trail"


def test_numbers_follow_the_highest_of_the_folder() -> None:
    names = ["00007-11.png", "00003-1.png", "grid-0042.png", "text.txt", "12345678901.png"]
    assert next_number(names, "") == 8
    assert next_number(names, "grid") == 43
    assert next_number([], "") == 1
    assert (numbered_stem(8, "", "11"), numbered_stem(43, "grid", "")) == ("00008-11", "grid-0043")


HOSTILE = [
    "/../../etc/passwd",
    "..\\..\\windows",
    "nul\0byte",
    "two\nlines\r\ttab",
    "\U0001f408" * 500,
    "\u202egnp.exe",
    "C:\\evil",
    "\ud800 half",
    "." * 300,
    " . . ",
    "~root",
    "-rf",
    "",
    "\u2028\u2029\x1b]0;x\x07",
]
TOKENS = [
    "[prompt]",
    "[prompt_spaces]",
    "[prompt_words]",
    "[prompt_no_styles]",
    "[styles]",
    "[user]",
    "[model_name]",
    "[seed]",
    "[date]",
    "[hasprompt<a><b|../x>]",
    "[datetime<%Y/../%m>]",
    "[none]",
    "/",
    "..",
    "\\",
    "[",
    "]",
    "<",
    " ",
    "\0",
    "[batch_number]",
    "C:",
    "[unknown<../>]",
]


def test_ten_thousand_patterns_stay_inside_the_folder() -> None:
    dice = random.Random(5)
    root = Path("/outputs")
    for _ in range(10_000):
        facts = replace(
            FACTS,
            prompt=dice.choice(HOSTILE),
            prompt_no_styles=dice.choice(HOSTILE),
            styles=(dice.choice(HOSTILE),),
            user=dice.choice(HOSTILE),
            model_name=dice.choice(HOSTILE),
        )
        pattern = "".join(dice.choices(TOKENS, k=dice.randrange(1, 9)))
        parts = (*folder_parts(pattern, facts), numbered_stem(1, "", file_stem(pattern, facts)))
        for part in parts:
            assert part not in ("", ".", "..")
            assert not set(part) & set("/\\\0\n\r\t\x1b\u202e\u2028")
            assert len(part.encode()) <= 255 - len(".png.tmp")
        path = root.joinpath(*parts)
        assert path.parent.parts[: len(root.parts)] == root.parts
        assert len(path.parts) == len(root.parts) + len(parts)
