"""Token merging: alike tokens are attended to once, and the network is itself again afterwards."""

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from webui.engine.token_merging import Matching, match_tokens, merging, merging_ratios
from webui.request import GenerationRequest, Hires, Init
from webui.settings import Settings


def _unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
    ).eval()


def _answer(unet: UNet2DConditionModel, height: int = 8, width: int = 8) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, height, width, generator=draw)
    words = torch.randn(2, 3, 16, generator=draw)
    with torch.inference_mode():
        answer: Tensor = unet(latents, torch.tensor([5, 5]), words).sample
    return answer


def test_merged_tokens_are_means_and_all_come_back() -> None:
    tokens = torch.randn(2, 24, 5, generator=torch.Generator().manual_seed(2))
    matching = match_tokens(tokens, 4, 6, 0.5)

    merged = matching.merge(tokens)
    spread = matching.spread(merged)

    assert merged.shape == (2, 12, 5)
    assert spread.shape == tokens.shape
    for picture in range(2):
        alone = matching.kept[picture, :, 0]
        assert torch.equal(spread[picture, alone], tokens[picture, alone])
        for place, partner in zip(
            matching.merged[picture, :, 0], matching.partners[picture, :, 0], strict=True
        ):
            home = matching.destinations[0, partner, 0]
            assert torch.equal(spread[picture, place], spread[picture, home])
    assert torch.allclose(_weighted_sum(matching, merged), tokens.sum(1), atol=1e-5)


def _weighted_sum(matching: Matching, merged: Tensor) -> Tensor:
    """Every merged token as often as there are tokens in it."""
    kept, partners = matching.kept, matching.partners
    counts = torch.ones(merged.shape[:2])
    counts.scatter_add_(1, kept.shape[1] + partners[..., 0], torch.ones(partners.shape[:2]))
    return (merged * counts[..., None]).sum(1)


def test_destinations_are_the_top_left_tokens_of_cells() -> None:
    tokens = torch.randn(1, 15, 3, generator=torch.Generator().manual_seed(3))

    matching = match_tokens(tokens, 3, 5, 0.9)

    assert matching.destinations[0, :, 0].tolist() == [0, 2]
    assert matching.merge(tokens).shape[1] == 2


def test_the_most_alike_token_joins_first() -> None:
    tokens = torch.eye(4)[None].clone()
    tokens[0, 3] = tokens[0, 0] * 7

    matching = match_tokens(tokens, 2, 2, 0.25)

    assert matching.merged[0, :, 0].tolist() == [3]


def test_a_network_changes_only_while_it_merges() -> None:
    unet = _unet()
    plain = _answer(unet)

    with merging({"unet": unet}, 0.5):
        changed = _answer(unet)
        odd = _answer(unet, 10, 6)
    with merging({"unet": unet}, 0.0):
        untouched = _answer(unet)

    assert not torch.allclose(plain, changed)
    assert odd.shape == (2, 4, 10, 6)
    assert torch.equal(plain, untouched)
    assert torch.equal(plain, _answer(unet))
    assert all(not module._forward_pre_hooks for module in unet.modules())
    assert all(not module._forward_hooks for module in unet.modules())


def test_ratios_are_ranked_as_in_a1111() -> None:
    settings = Settings(
        token_merging_ratio=0.1, token_merging_ratio_img2img=0.2, token_merging_ratio_hr=0.3
    )
    plain, hires = GenerationRequest(), GenerationRequest(hires=Hires())
    img2img = GenerationRequest(init=Init(images=("0" * 64,)))
    asked = GenerationRequest(init=img2img.init, overrides={"token_merging_ratio": 0.1})

    assert merging_ratios(plain, settings) == (0.1, 0.0)
    assert merging_ratios(hires, settings) == (0.1, 0.3)
    assert merging_ratios(hires, Settings(token_merging_ratio=0.4)) == (0.4, 0.4)
    assert merging_ratios(img2img, settings) == (0.2, 0.0)
    assert merging_ratios(asked, settings) == (0.1, 0.0)
