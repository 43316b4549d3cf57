from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from tools.bundled_model import vae
from tools.bundled_model.batches import Batches, Training, draw_timesteps
from tools.bundled_model.latents import read_shards, write_shards
from tools.bundled_model.muon import Muon, cut, orthogonalise
from tools.bundled_model.networks import alphas_cumprod
from tools.bundled_model.state import load_weights, save_atomically
from tools.bundled_model.text_encoder import (
    cells,
    fresh_text_encoder,
    from_cells,
    position_table,
    reduce_vectors,
    repeat_cells,
    sketch_loss,
)
from tools.bundled_model.unet import noised, rate_factor
from tools.bundled_model.vae_training import edge_loss
from tools.bundled_model.words import load_tokenizer, write_tokenizer


def test_orthogonalise_brings_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((12, 40), (40, 12)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)).float())
        assert values.min() > 0.5 and values.max() < 1.4


def test_muon_finds_the_minimum() -> None:
    torch.manual_seed(0)
    target, weight = torch.randn(8, 8), torch.nn.Parameter(torch.zeros(8, 8))
    optimiser = Muon([weight], lr=0.2, weight_decay=0.0)
    for step in range(120):
        for group in optimiser.param_groups:
            group["lr"] = 0.2 * (1 - step / 120)
        optimiser.zero_grad()
        torch.autograd.backward((weight - target).square().mean())
        optimiser.step()
    assert (weight - target).square().mean() < 0.02


def test_cut_undoes_joining() -> None:
    parts = [torch.arange(3.0), torch.arange(5.0)]
    again = list(cut(torch.cat(parts), [3, 5]))
    assert all(torch.equal(a, b) for a, b in zip(parts, again, strict=True))


def test_timesteps_lean_to_the_noisy_end() -> None:
    timesteps = draw_timesteps(1000, 0.6, torch.Generator().manual_seed(1))
    assert timesteps.min() >= 0 and timesteps.max() <= 999
    # 60 % from 620 on, and of the other 40 % those that fall there too
    assert (timesteps >= 620).float().mean() == pytest.approx(0.6 + 0.4 * 0.38, abs=0.01)


def test_v_target_gives_back_latents_and_noise() -> None:
    latents, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    alpha = torch.tensor([0.9, 0.5, 0.1])
    mixture, velocity = noised(latents, noise, alpha)
    signal, sigma = alpha.sqrt().view(3, 1, 1, 1), (1 - alpha).sqrt().view(3, 1, 1, 1)
    torch.testing.assert_close(signal * mixture - sigma * velocity, latents)
    torch.testing.assert_close(sigma * mixture + signal * velocity, noise)


def test_rate_warms_up_and_falls_only_when_annealing() -> None:
    assert rate_factor(0, 0.0, anneal=False) == pytest.approx(1 / 40)
    assert rate_factor(1000, 0.99, anneal=False) == 1.0
    assert rate_factor(1000, 0.1, anneal=True) == 1.0
    assert rate_factor(1000, 0.6, anneal=True) == pytest.approx(0.5)
    assert rate_factor(1000, 1.0, anneal=True) == pytest.approx(0.01)


def test_the_schedule_is_that_of_sd1() -> None:
    alphas = alphas_cumprod()
    assert alphas[0].item() == pytest.approx(0.99915, abs=1e-5)
    assert alphas[-1].item() == pytest.approx(0.00466, abs=1e-5)


def test_batches_go_with_their_captions(sprites: Path, tmp_path: Path) -> None:
    network = vae.training_network().eval().requires_grad_(False)
    folder = tmp_path / "latents"
    write_shards(network, sprites, folder, range(1), (1.0, 1.0, 1.0), size=8)
    write_shards(network, sprites, folder, range(2), (1.0, 1.0, 1.0), size=8)
    known = read_shards(folder)
    assert known.latents.shape == (16, 4, 16, 16) and len(known.scenes) == 16
    write_tokenizer(["c a"], tmp_path / "tokenizer")
    training = Training(1, batch_size=6)
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    latents, noise, timesteps, tokens = next(iter(Batches(folder, tokenizer, training, seed=2)))
    assert latents.shape == noise.shape == (6, 4, 16, 16)
    assert timesteps.shape == (6,) and tokens.shape == (6, 77)
    assert all((one == known.latents.float()).all(dim=(1, 2, 3)).any() for one in latents[:, None])


def test_state_is_written_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.pt"
    save_atomically({"pictures": 3, "mean": [torch.ones(2)]}, path)
    assert load_weights(path)["pictures"] == 3
    assert [each.name for each in path.parent.iterdir()] == ["state.pt"]


def test_edge_loss_ignores_a_shift_of_all_values() -> None:
    picture = torch.rand(1, 3, 16, 16)
    assert edge_loss(picture + 0.3, picture).item() == pytest.approx(0, abs=1e-5)
    assert edge_loss(picture.flip(-1), picture) > 0.1


def test_reduced_vectors_keep_near_things_near() -> None:
    torch.manual_seed(0)
    base = torch.randn(30, 20)
    reduced = reduce_vectors(torch.cat([base, base + 0.01 * torch.randn(30, 20)]), 8)
    assert reduced.square().mean(dim=1).sqrt() == pytest.approx(torch.full((60,), 0.5), abs=1e-4)
    nearest = torch.cdist(reduced[:30], reduced[30:]).argmin(dim=1)
    assert nearest.tolist() == list(range(30))


def test_cells_are_read_row_by_row() -> None:
    latents = torch.arange(16.0).view(1, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert cells(latents.expand(2, 4, 16, 16))[1, :, 0].tolist() == list(range(16))


def test_cells_are_put_together_again() -> None:
    latents = torch.randn(2, 4, 16, 16)
    assert torch.equal(from_cells(cells(latents)), latents)


def test_a_right_sketch_has_no_loss() -> None:
    latents = torch.full((2, 4, 16, 16), 0.7)
    head = torch.nn.Linear(128, 64)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.constant_(head.bias, 0.7)
    hidden = torch.randn(2, 40, 128)
    assert sketch_loss(hidden, head, latents).item() == pytest.approx(0, abs=1e-6)
    assert sketch_loss(hidden, head, latents + 1).item() == pytest.approx(1, abs=1e-4)


def test_later_positions_stand_for_the_same_cells() -> None:
    encoder = fresh_text_encoder(torch.zeros(49408, 128))
    repeat_cells(encoder)
    table = position_table(encoder)
    assert torch.equal(table[24:40], table[40:56]) and torch.equal(table[24:29], table[72:])
    assert not torch.equal(table[24], table[25])


@torch.no_grad()
def test_the_exported_autoencoder_computes_what_was_trained() -> None:
    torch.manual_seed(0)
    trained = vae.training_network().eval()
    exported = vae.exported_network(trained.state_dict())
    pictures = torch.rand(1, 3, 32, 32) * 2 - 1
    latents = vae.encode(trained, pictures)
    posterior = exported.encode(pictures).latent_dist
    torch.testing.assert_close(posterior.mean * vae.SCALE_FACTOR, latents, atol=2e-3, rtol=2e-3)
    assert posterior.logvar.max() <= -20
    decoded = exported.decode(latents / vae.SCALE_FACTOR).sample
    torch.testing.assert_close(decoded, vae.decode(trained, latents), atol=2e-3, rtol=2e-3)


@torch.no_grad()
def test_normal_latents_have_unit_variance_and_decode_alike() -> None:
    torch.manual_seed(0)
    network = vae.training_network().eval()
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    before = vae.encode(network, pictures)
    decoded = vae.decode(network, before)
    vae.normalise_latents(network, before.mean(dim=(0, 2, 3)), before.std(dim=(0, 2, 3)))
    after = vae.encode(network, pictures)
    assert after.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    torch.testing.assert_close(after.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(vae.decode(network, after), decoded, atol=1e-3, rtol=1e-3)


def test_training_weights_undo_the_export() -> None:
    trained = vae.training_network().state_dict()
    exported: AutoencoderKL = vae.exported_network(trained)
    again = vae.to_training_weights(exported.state_dict())
    assert again.keys() == trained.keys()
    unchanged = [name for name in trained if not name.startswith("quant_conv")]
    assert all(torch.allclose(again[name], trained[name], atol=1e-6) for name in unchanged)
