from typing import Any

import pytest
import torch

from webui.sampling.noise import (
    CPU,
    ImageNoise,
    NoiseSeeds,
    RandomSource,
    open_stream,
    paste_centred,
    slerp,
)
from webui.sampling.philox import philox_normal, philox_words

SIGMA = torch.tensor(1.0)


def test_philox_equals_the_recorded_cuda_numbers(golden: Any) -> None:
    for seed, calls in golden("vectors/rng.json")["nv"].items():
        stream = open_stream("NV", int(seed), CPU)
        for recorded in calls:
            found = stream.draw((len(recorded),))
            torch.testing.assert_close(found, torch.tensor(recorded), rtol=0, atol=1e-6)


def test_philox_takes_seeds_beyond_32_bits(golden: Any) -> None:
    recorded = golden("vectors/functions_philox.json")
    for key, seed, offset in (
        ("seed0_call1_3x4", 0, 0),
        ("seed0_call2_3x4", 0, 1),
        ("seed_8589934597_call1_2x3", 8589934597, 0),
    ):
        expected = torch.tensor(recorded[key])
        found = torch.from_numpy(philox_normal(seed, offset, expected.numel()))
        torch.testing.assert_close(found.reshape(expected.shape), expected, rtol=0, atol=1e-6)


def test_philox_words_equal_the_published_test_vectors() -> None:
    """Random123's known answers for philox4x32-10 with all-zero counter and key."""
    first, second = philox_words(0, 0, 1)
    assert (int(first[0]), int(second[0])) == (0x6627E8D5, 0xE169C58D)


def test_the_cpu_source_is_torch_s(golden: Any) -> None:
    recorded = golden("vectors/rng.json")
    for seed, numbers in recorded["torch_cpu"].items():
        found = open_stream("CPU", int(seed), CPU).draw((len(numbers),))
        torch.testing.assert_close(found, torch.tensor(numbers), rtol=0, atol=1e-6)
    for seed, numbers in recorded["torch_cpu_64"].items():
        found = open_stream("CPU", int(seed), CPU).draw((64,))[: len(numbers)]
        torch.testing.assert_close(found, torch.tensor(numbers), rtol=0, atol=1e-6)


def test_the_gpu_source_falls_back_to_the_cpu_s() -> None:
    shape = (4, 3, 3)
    found = open_stream("GPU", 7, CPU).draw(shape)
    assert torch.equal(found, open_stream("CPU", 7, CPU).draw(shape))


def case_names() -> list[str]:
    kinds = ("plain", "sub", "resize", "both")
    return [f"{k}/{s}/ensd{e}" for k in kinds for s in ("CPU", "NV") for e in (0, 31337)]


@pytest.mark.parametrize("name", case_names())
def test_image_noise_equals_the_recorded_values(name: str, golden: Any) -> None:
    case = golden("vectors/image_rng.json")[name]
    args = case["args"]
    height, width = args.get("seed_resize_from_h", 0), args.get("seed_resize_from_w", 0)
    seeds = NoiseSeeds(
        seeds=tuple(args["seeds"]),
        subseeds=tuple(args.get("subseeds", ())),
        subseed_strength=args.get("subseed_strength", 0.0),
        resize_from=(height, width),
        ensd=int(name.partition("ensd")[2]),
    )
    noise = ImageNoise((4, 8, 8), seeds, source="NV" if "/NV/" in name else "CPU")
    for key in ("first", "second"):
        found = noise.draw().flatten()[:64]
        torch.testing.assert_close(found, torch.tensor(case[key]), rtol=0, atol=2e-6)


def test_image_noise_equals_further_recorded_values(golden: Any) -> None:
    recorded = golden("vectors/functions_image_rng_nv.json")

    def close(found: torch.Tensor, key: str) -> None:
        torch.testing.assert_close(found, torch.tensor(recorded[key]), rtol=0, atol=1e-5)

    noise = ImageNoise((4, 8, 8), NoiseSeeds((1, 2)), source="NV")
    close(noise.draw().flatten(1)[:, :4], "plain seeds1,2 first4")
    close(noise.draw().flatten(1)[:, :4], "plain second next first4")
    varied = NoiseSeeds((1, 2), (10, 11), 0.3)
    noise = ImageNoise((4, 8, 8), varied, source="NV")
    close(noise.draw().flatten(1)[:, :4], "subseed 0.3 seeds1,2 sub10,11 first 4 of each")
    noise = ImageNoise((4, 8, 12), NoiseSeeds((1,), resize_from=(64, 64)), source="NV")
    close(noise.draw()[0, 0, 0], "resize from 64x64 to 96x64 (w x h) seed 1: row0 ch0")
    close(noise.draw()[0, 0, 0], "same, second next() row0 ch0")


@pytest.mark.parametrize("source", ["CPU", "GPU", "NV"])
def test_pictures_of_a_batch_have_their_own_generators(source: RandomSource) -> None:
    batch = ImageNoise((4, 5, 3), NoiseSeeds((3, 4, 5), (8, 9, 10), 0.2), source=source)
    single = ImageNoise((4, 5, 3), NoiseSeeds((4,), (9,), 0.2), source=source)
    for _ in range(3):
        assert torch.equal(batch(SIGMA, SIGMA)[1], single(SIGMA, SIGMA)[0])


def test_full_variation_is_the_other_seed_s_noise() -> None:
    varied = ImageNoise((4, 6, 6), NoiseSeeds((1,), (2,), 1.0)).draw()
    torch.testing.assert_close(varied, ImageNoise((4, 6, 6), NoiseSeeds((2,))).draw())


def test_a_missing_variation_seed_counts_as_zero() -> None:
    varied = ImageNoise((4, 6, 6), NoiseSeeds((1, 2), (5,), 0.4)).draw()
    assert torch.equal(varied[1], ImageNoise((4, 6, 6), NoiseSeeds((2,), (0,), 0.4)).draw()[0])


def test_the_own_size_is_no_resizing() -> None:
    resized = ImageNoise((4, 8, 6), NoiseSeeds((1,), resize_from=(64, 48)))
    plain = ImageNoise((4, 8, 6), NoiseSeeds((1,)))
    assert torch.equal(resized.draw(), plain.draw())
    assert torch.equal(resized.draw(), plain.draw())


def test_slerp_keeps_length_along_the_axis_and_meets_both_ends() -> None:
    low, high = torch.randn(2, 4, 9, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(slerp(0.0, low, high), low)
    torch.testing.assert_close(slerp(1.0, low, high), high)
    low, high = low / low.norm(dim=1, keepdim=True), high / high.norm(dim=1, keepdim=True)
    lengths = slerp(0.4, low, high).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=1e-4, atol=0)


def test_slerp_of_parallel_noises_has_the_weights_swapped() -> None:
    low = torch.randn(4, 9, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(slerp(0.25, low, 2 * low), low * 0.25 + 2 * low * 0.75)


@pytest.mark.parametrize(
    ("small", "canvas", "rows", "columns"),
    [
        ((2, 2), (4, 6), slice(1, 3), slice(2, 4)),
        ((4, 2), (2, 6), slice(0, 2), slice(2, 4)),
        ((5, 5), (2, 2), slice(0, 1), slice(0, 1)),
    ],
)
def test_pasting_is_centred_and_crops(
    small: tuple[int, int], canvas: tuple[int, int], rows: slice, columns: slice
) -> None:
    inner, outer = torch.ones(1, *small), torch.zeros(1, *canvas)
    expected = torch.zeros(1, *canvas)
    expected[:, rows, columns] = 1
    assert torch.equal(paste_centred(inner, outer), expected)
    assert not outer.any()
