from __future__ import annotations

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel

from tests.tiny.small_checkpoints import TEXT_SIZES
from webui.errors import InvalidRequest
from webui.families.base import EncodeOptions
from webui.families.clip import (
    ClipTextEncoder,
    HiddenLayer,
    build_text_encoder,
    emphasize,
    tokenize,
)
from webui.families.clip import read_text_encoder_params as read_params
from webui.families.embeddings import Embedding, Embeddings, Slot

LONG = "red cat, " * 40


@pytest.fixture(scope="module")
def network() -> CLIPTextModel:
    torch.manual_seed(0)
    return CLIPTextModel(CLIPTextConfig(vocab_size=49408, **TEXT_SIZES)).eval()


@pytest.fixture(scope="module")
def encoder(network: CLIPTextModel) -> ClipTextEncoder:
    return ClipTextEncoder(network)


def encode(encoder: ClipTextEncoder, *texts: str, **options: object) -> list[torch.Tensor]:
    asked = EncodeOptions(**options)  # type: ignore[arg-type]
    return encoder.encode(texts, asked, HiddenLayer(asked.clip_skip, True)).cross


def test_a_text_is_framed_and_filled_up_to_77(
    network: CLIPTextModel, encoder: ClipTextEncoder
) -> None:
    tokens = torch.tensor([[49406, 736, 2368, *[49407] * 74]])
    with torch.no_grad():
        expected = network(tokens).last_hidden_state[0]
    (found,) = encode(encoder, "red cat")
    assert torch.equal(found, expected)


def test_no_text_gives_no_embeddings(encoder: ClipTextEncoder) -> None:
    assert encode(encoder) == []


def test_texts_of_one_call_get_the_chunks_of_the_longest(encoder: ClipTextEncoder) -> None:
    short, long = encode(encoder, "red cat", LONG)
    assert short.shape == long.shape == (154, 16)
    (empty,) = encode(encoder, "")
    (alone,) = encode(encoder, "red cat")
    assert torch.allclose(short, torch.cat([alone, empty]), atol=1e-6)


@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_clip_skip_takes_an_earlier_layer_and_the_final_norm(
    clip_skip: int, network: CLIPTextModel, encoder: ClipTextEncoder
) -> None:
    tokens = torch.tensor([[49406, 736, 2368, *[49407] * 74]])
    with torch.no_grad():
        layers = network(tokens, output_hidden_states=True).hidden_states
        expected = network.final_layer_norm(layers[-clip_skip])[0]
    (found,) = encode(encoder, "red cat", clip_skip=clip_skip)
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("clip_skip", [0, -1, 4, 12])
def test_a_clip_skip_beyond_the_layers_is_a_sentence(
    clip_skip: int, encoder: ClipTextEncoder
) -> None:
    with pytest.raises(InvalidRequest, match="has 3 layers") as caught:
        encode(encoder, "red cat", clip_skip=clip_skip)
    assert caught.value.field == "clip_skip"


def test_emphasis_original_restores_the_mean_over_all_texts() -> None:
    torch.manual_seed(1)
    hidden, weights = torch.randn(2, 77, 8) + 0.5, torch.rand(2, 77) + 0.5
    found = emphasize(hidden, weights, "Original")
    weighted = hidden * weights[..., None]
    assert found.mean().item() == pytest.approx(hidden.mean().item(), rel=1e-5)
    assert torch.allclose(found, weighted * (hidden.mean() / weighted.mean()))
    assert not torch.allclose(found[:1], emphasize(hidden[:1], weights[:1], "Original"))


def test_emphasis_original_leaves_a_mean_of_zero_alone() -> None:
    hidden = torch.tensor([[[1.0, -1.0], [2.0, -2.0]]])
    found = emphasize(hidden, torch.tensor([[1.0, 1.5]]), "Original")
    assert found.tolist() == [[[1.0, -1.0], [3.0, -3.0]]]


def test_the_other_emphasis_modes() -> None:
    hidden, weights = torch.randn(1, 77, 8), torch.full((1, 77), 1.3)
    assert torch.equal(emphasize(hidden, weights, "No norm"), hidden * 1.3)
    assert torch.equal(emphasize(hidden, weights, "Ignore"), hidden)
    assert torch.equal(emphasize(hidden, weights, "None"), hidden)


def test_brackets_in_texts(encoder: ClipTextEncoder) -> None:
    plain, bracket, literal = (
        encode(encoder, "red cat")[0],
        encode(encoder, "(red:1.5) cat", emphasis="No norm")[0],
        encode(encoder, "(red:1.5) cat", emphasis="None")[0],
    )
    assert torch.allclose(bracket[1], plain[1] * 1.5, atol=1e-5)
    assert torch.allclose(bracket[2:], plain[2:], atol=1e-5)
    assert torch.allclose(encode(encoder, "(red:1.5) cat", emphasis="Ignore")[0], plain, atol=1e-6)
    assert not torch.allclose(literal[1], plain[1], atol=1e-2)


def test_tokens_have_no_limit() -> None:
    assert tokenize("Red CAT") == [736, 2368]
    assert len(tokenize("red cat, " * 10_000)) == 30_000
    assert tokenize("") == []


def test_a_text_encoder_without_weights_has_real_position_ids() -> None:
    network = build_text_encoder(read_params(dict(TEXT_SIZES)))
    assert next(network.parameters()).device.type == "meta"
    assert network.embeddings.position_ids.tolist() == [list(range(77))]


def test_a_name_stands_for_vectors(network: CLIPTextModel, encoder: ClipTextEncoder) -> None:
    words = network.get_input_embeddings().weight
    red, cat = words[736].detach(), words[2368].detach()
    items = [
        Embedding("style", {"any": torch.stack([red, cat])}),
        Embedding("style two", {"clip_g": torch.zeros(1, 8), "clip_l": cat[None]}),
    ]
    options = EncodeOptions(embeddings=Embeddings(items, tokenize))
    named = encoder.encode(["a style, style two", "style"], options, HiddenLayer(1, True))
    plain = encode(encoder, "a red cat, cat", "red cat")
    for found, expected in zip(named.cross, plain, strict=True):
        assert torch.equal(found, expected)
    assert named.embeddings == ("style", "style two")
    assert torch.equal(encode(encoder, "red cat")[0], plain[1])


@pytest.mark.parametrize(
    ("own", "widths", "fits"),
    [
        ({"any": 8}, {"clip_l": 8}, True),
        ({"any": 8}, {"clip_l": 16}, False),
        ({"any": 8}, {"clip_l": 8, "clip_g": 16}, False),
        ({"clip_l": 8, "clip_g": 16}, {"clip_l": 8, "clip_g": 16}, True),
        ({"clip_l": 8, "clip_g": 16}, {"clip_g": 16}, True),
        ({"clip_l": 8, "clip_g": 16}, {"clip_l": 8}, False),
        ({"clip_l": 8, "clip_g": 16}, {"clip_l": 8, "clip_g": 8}, False),
    ],
)
def test_an_embedding_fits_text_encoders_of_its_widths(
    own: dict[Slot, int], widths: dict[Slot, int], fits: bool
) -> None:
    vectors = {slot: torch.zeros(2, width) for slot, width in own.items()}
    assert Embedding("name", vectors).fits(widths) is fits
