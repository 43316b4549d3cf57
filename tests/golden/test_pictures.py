"""Pictures recorded from A1111, replayed through the HTTP API: same request, same picture."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tools.parity import GOLDEN, cases, easel, replay

ANALYSED = {
    "e/colorcorr_inpaint": 3,  # histogram matching is steep: it multiplies a rounding of 1/255
    "e/return_mask": 10,  # the composite's colours are divided by an alpha near 0
}
"""Largest differences of cases where a rounding of the network's answer is amplified afterwards."""
CASES = cases(GOLDEN / "pictures" / "tiny")


FAMILY_CASES = [
    path for name in ("xl", "sd2", "ip2p") for path in cases(GOLDEN / "pictures" / name)
]


@pytest.fixture(scope="module")
def client(tiny_checkpoints: Path, tiny_networks: Path) -> Iterator[TestClient]:
    with easel(tiny_checkpoints, GOLDEN / "styles.csv", tiny_networks) as running:
        yield running


@pytest.fixture(scope="module")
def families(family_checkpoints: Path) -> Iterator[TestClient]:
    networks = GOLDEN / "family_networks"
    with easel(family_checkpoints, GOLDEN / "styles.csv", networks, first="xlA") as running:
        yield running


def test_there_are_cases_of_every_group() -> None:
    assert {path.parent.name for path in CASES} >= {"a", "b", "c", "d", "e", "f", "g", "h"}


def expect_a1111s_picture(client: TestClient, case: Path) -> None:
    row = replay(client, case, GOLDEN / "inputs")
    is_analysed = row.psnr >= 60 and row.difference <= ANALYSED.get(row.case, 0)
    figures = f"max difference {row.difference}, PSNR {row.psnr:.1f} dB"
    assert row.is_within or is_analysed, figures
    assert row.infotexts[0] == row.infotexts[1]


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_picture_and_infotext_are_a1111s(client: TestClient, case: Path) -> None:
    expect_a1111s_picture(client, case)


@pytest.mark.parametrize("case", FAMILY_CASES, ids=lambda path: "-".join(path.parts[-3:]))
def test_so_are_those_of_other_families(families: TestClient, case: Path) -> None:
    expect_a1111s_picture(families, case)
