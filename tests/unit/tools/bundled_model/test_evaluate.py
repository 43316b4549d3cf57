from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tools.bundled_model.evaluate import Score, Verdict, judge_picture, regions, score, sheet
from tools.bundled_model.judge import classifier, crop, spoil, training_scenes
from tools.bundled_model.prompts import parse_prompt
from tools.bundled_model.sampler import sample_latents, scheduler
from tools.bundled_model.scenes import SceneMaker

NAMES = ["pear", "banana", "red apple", "cat", "pizza", "fish"]


class BrightnessJudge(nn.Module):
    """Calls white pictures pears and red ones apples, by their mean colour alone."""

    def forward(self, pictures: Tensor) -> Tensor:
        green = pictures[:, 1].mean(dim=(1, 2))
        return torch.stack([green, *(green * 0 - 9,), -green, *(green * 0 - 8,) * 3], dim=1)


def picture(ground: tuple[int, int, int], thing: tuple[int, int, int]) -> Tensor:
    pixels = np.full((128, 128, 3), ground, np.uint8)
    pixels[10:118, 10:118] = thing
    return torch.from_numpy(pixels)


def test_a_right_picture_is_right() -> None:
    wanted = parse_prompt("a red apple on a blue background\tred apple\tblue\tred\t")
    verdict = judge_picture(
        BrightnessJudge(), NAMES, picture((50, 105, 220), (214, 30, 30)), wanted
    )
    assert verdict == Verdict(first=True, among_five=True, ground=True, colour=True)


def test_a_wrong_picture_is_wrong() -> None:
    wanted = parse_prompt("a red apple on a blue background\tred apple\tblue\tred\t")
    verdict = judge_picture(
        BrightnessJudge(), NAMES, picture((250, 215, 60), (60, 255, 75)), wanted
    )
    assert verdict == Verdict(first=False, among_five=True, ground=False, colour=False)


def test_what_the_prompt_does_not_name_is_not_judged() -> None:
    wanted = parse_prompt("a pear\tpear\twhite\t\t")
    verdict = judge_picture(BrightnessJudge(), NAMES, picture((255,) * 3, (90, 255, 90)), wanted)
    assert verdict == Verdict(first=True, among_five=True, ground=None, colour=None)


def test_things_are_looked_for_where_they_belong() -> None:
    assert regions(parse_prompt("a cat\tcat\twhite\t\t")) == [(0, 0, 128)]
    pair = regions(parse_prompt("a cat and a pizza\tcat+pizza\twhite\t\t"))
    assert [left for left, _, _ in pair] == [0, 64]
    left, top, side = regions(parse_prompt("a small fish\tfish\twhite\t\ton the right"))[0]
    assert 40 < left < 93 < left + side <= 128 and top < 64 < top + side


def test_shares_and_the_last_line() -> None:
    verdicts = [
        Verdict(True, True, True, None),
        Verdict(False, True, None, True),
        Verdict(False, False, True, False),
        Verdict(True, True, False, None),
    ]
    result = score(verdicts, verdicts[1:3], 500)
    assert result.top1 == 0.5 and result.top5 == 0.75
    assert result.background == pytest.approx(2 / 3) and result.colour == 0.5
    assert result.empty == 0
    line = Score(0.63, 0.85, 0.97, 0.84, 0.002, 0.01).line()
    assert line == "top1 0.63 top5 0.85 background 0.97 colour 0.84 chance 0.002 empty 0.01"


def test_the_judge_is_trained_on_every_drawn_concept(sprites: Path) -> None:
    maker = SceneMaker(sprites, 0)
    scenes = training_scenes(maker, 0)
    assert {number for _, number in scenes} == set(range(40))
    assert {scene.style for scene, _ in scenes} == {"3d", "flat"}
    assert all(maker.concepts[number].code == scene.parts[0].code for scene, number in scenes)


def test_crops_and_spoiled_pictures_fit_the_classifier() -> None:
    pictures = torch.rand(3, 3, 128, 128) * 2 - 1
    cut = crop(pictures, 64, 32, 64)
    assert cut.shape == (3, 3, 48, 48)
    assert cut.mean().item() == pytest.approx(pictures[..., 32:96, 64:].mean().item(), abs=2e-2)
    spoiled = spoil(cut, torch.Generator().manual_seed(0))
    assert spoiled.shape == cut.shape and not torch.equal(spoiled, cut)
    assert classifier(7).eval()(spoiled).shape == (3, 7)


class PerfectUNet(nn.Module):
    """Knows the picture: predicts the v that leads to it from any noise."""

    class Answer:
        def __init__(self, sample: Tensor) -> None:
            self.sample = sample

    def forward(self, latents: Tensor, timestep: Tensor, _: Tensor) -> Answer:
        alpha = scheduler(20).alphas_cumprod[timestep]
        noise = (latents - alpha.sqrt() * 0.5) / (1 - alpha).sqrt()
        return self.Answer(alpha.sqrt() * noise - (1 - alpha).sqrt() * 0.5)


def test_sampling_reaches_what_the_network_knows() -> None:
    words = torch.zeros(2, 77, 128)
    latents = sample_latents(PerfectUNet(), words, words[:1], [1, 2])
    assert latents.shape == (2, 4, 16, 16)
    # the last step stops at the schedule's first alpha, not at 1
    assert (latents - 0.5).abs().max() < 0.15


def test_the_sheet_holds_all_pictures(tmp_path: Path) -> None:
    path = tmp_path / "sheets" / "sheet.png"
    sheet(torch.zeros(12, 128, 128, 3, dtype=torch.uint8), [f"no {i}" for i in range(12)], path)
    with Image.open(path) as saved:
        assert saved.size == (1280, 2 * 152)
        assert saved.getpixel((5, 5)) == (0, 0, 0)
