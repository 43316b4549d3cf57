import json
from pathlib import Path

from tools.bundled_model.captions import Captioner, described, with_article
from tools.bundled_model.concepts import (
    concepts_by_name,
    load_concepts,
    parse_concept,
    without_article,
)
from tools.bundled_model.prompts import load_prompts, parse_prompt
from tools.bundled_model.scenes import COLOURS, HUES, PLACES, Part, Scene
from tools.bundled_model.words import load_tokenizer, token_text, vocabulary, write_tokenizer

WHITE = COLOURS["white"]


def scene(code: str, hue: str | None = None, ground: str = "white", **more: object) -> Scene:
    part = Part(code, hue, 111, (64, 64))
    return Scene((part,), "3d", ground, WHITE, WHITE, **more)  # type: ignore[arg-type]


def test_a_line_of_the_table_is_read() -> None:
    concept = parse_concept("1f34e\tfood\t2\t1\ta red apple|an apple")
    assert (concept.code, concept.tier, concept.paintable) == ("1f34e", 2, True)
    assert concept.name == "red apple"
    assert concept.phrases == ("a red apple", "an apple")


def test_codes_and_main_names_are_unique() -> None:
    concepts = load_concepts()
    assert len({concept.code for concept in concepts}) == len(concepts) == 498
    assert len({concept.name for concept in concepts}) == len(concepts)
    assert {concept.tier for concept in concepts} == {0, 1, 2}


def test_articles() -> None:
    assert without_article("an apple") == "apple"
    assert without_article("the sun") == "sun"
    assert without_article("grapes") == "grapes"
    assert with_article("orange car") == "an orange car"


def test_a_colour_replaces_the_colour_that_is_there() -> None:
    assert described("a red apple", "green") == "a green apple"
    assert described("a car", "orange") == "an orange car"
    assert described("gloves", "blue") == "blue gloves"
    assert described("a red apple", "small") == "a small red apple"


def test_captions_say_what_the_scene_shows() -> None:
    captioner = Captioner(3)
    texts = [captioner.write(scene("1f697", "green", "blue")) for _ in range(60)]
    assert all("green car" in text or "green automobile" in text for text in texts)
    assert sum("blue background" in text for text in texts) > len(texts) * 0.8
    assert not any("flat" in text for text in texts)
    assert len(set(texts)) > 10


def test_captions_name_the_place_of_a_small_thing() -> None:
    small = scene("1f41f", place="on the left", small=True)
    texts = [Captioner(seed).write(small) for seed in range(20)]
    assert all("small fish" in text and "on the left" in text for text in texts)


def test_the_same_seed_writes_the_same() -> None:
    first, second = Captioner(5), Captioner(5)
    shown = scene("1f98a", None, "red")
    assert [first.write(shown) for _ in range(9)] == [second.write(shown) for _ in range(9)]


def test_there_are_a_hundred_prompts_over_known_things() -> None:
    prompts = load_prompts()
    known = concepts_by_name()
    assert len(prompts) == len({wanted.prompt for wanted in prompts}) == 100
    assert all(thing in known for wanted in prompts for thing in wanted.things)
    assert all(wanted.ground in COLOURS for wanted in prompts)
    assert all(wanted.colour in HUES for wanted in prompts if wanted.colour)
    assert all(wanted.place in PLACES for wanted in prompts if wanted.place)
    assert {known[wanted.things[0]].category for wanted in prompts} >= {
        "face",
        "nature",
        "food",
        "travel",
        "object",
    }


def test_a_prompt_says_whether_it_names_its_ground() -> None:
    named = parse_prompt("a red apple on a blue background\tred apple\tblue\tred\t")
    assert named.ground_named and named.colour == "red"
    silent = parse_prompt("a cat and a pizza\tcat+pizza\twhite\t\t")
    assert not silent.ground_named and silent.things == ("cat", "pizza")


def test_the_vocabulary_starts_with_bytes_and_ends_with_marks() -> None:
    tokens = vocabulary(["a b", "ab c</w>"])
    assert len(tokens) == 2 * 256 + 2 + 2
    assert tokens[512:] == ["ab", "abc</w>", "<|startoftext|>", "<|endoftext|>"]
    assert token_text("cat</w>") == "cat"
    assert token_text("Ã©") == "é"


def test_the_tokenizer_files_are_readable(tmp_path: Path) -> None:
    write_tokenizer(["c a", "ca t</w>"], tmp_path)
    numbers = json.loads((tmp_path / "vocab.json").read_text("utf-8"))
    ids = load_tokenizer(tmp_path)("cat cat").input_ids
    assert ids[1:-1] == [numbers["cat</w>"]] * 2
    assert ids[-1] == numbers["<|endoftext|>"]
