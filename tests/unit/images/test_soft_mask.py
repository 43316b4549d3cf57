"""Soft inpainting's overlay mask: what changed little is pasted back."""

import numpy as np

from webui.images.soft_mask import changed_mask, weighted_percentiles
from webui.request import SoftInpainting


def test_equal_values_stay_what_they_are_up_to_the_edges() -> None:
    values = np.full((6, 7), 0.25, dtype=np.float32)

    assert np.allclose(weighted_percentiles(values, 0.9, 1.0), 0.25)
    assert np.allclose(weighted_percentiles(values, 0.25, 0.75), 0.25)


def test_high_percentiles_spread_a_peak_over_the_window_and_middle_ones_remove_it() -> None:
    values = np.zeros((9, 9), dtype=np.float32)
    values[4, 4] = 1.0

    high = weighted_percentiles(values, 0.9, 1.0)
    middle = weighted_percentiles(values, 0.25, 0.75)

    assert high[4, 4] == 1.0
    assert 0 < high[2, 2] < high[3, 3] < 1.0
    assert high[4, 1] == 0
    assert middle[4, 4] < 0.01


def test_the_mask_is_white_where_latents_went_far() -> None:
    distance = np.zeros((16, 16), dtype=np.float32)
    distance[:, 8:] = 8.0
    anew = np.full((16, 16), 0.5, dtype=np.float32)

    mask = changed_mask(distance, anew, SoftInpainting(), (128, 128))

    pixels = np.asarray(mask)
    assert pixels[64, 10] == 0
    assert pixels[64, 118] > 250


def test_the_threshold_keeps_more_and_the_mask_decides_with_full_influence() -> None:
    distance = np.full((16, 16), 0.6, dtype=np.float32)
    anew = np.zeros((16, 16), dtype=np.float32)
    anew[:, 8:] = 1.0

    def at(x: int, soft: SoftInpainting = SoftInpainting()) -> int:  # noqa: B008 - frozen
        mask = changed_mask(distance, anew, soft, (128, 128))
        return int(np.asarray(mask)[64, x])

    decided = SoftInpainting(mask_influence=1.0)
    assert at(64, SoftInpainting(difference_threshold=2.0)) < at(64)
    assert at(10, decided) == 0
    assert at(118, decided) > 250


def test_a_part_s_mask_lies_at_its_place_on_the_whole_picture() -> None:
    far = np.full((8, 8), 9.0, dtype=np.float32)
    anew = np.full((8, 8), 0.5, dtype=np.float32)
    crop = (100, 40, 132, 72)

    mask = changed_mask(far, anew, SoftInpainting(), (64, 64), crop=crop, whole=(200, 100))

    assert mask.size == (200, 100)
    assert mask.getbbox() == crop
