"""Golden values, and the small models with known solutions that samplers are tried on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from webui.sampling.catalog import Catalog, default_catalog
from webui.sampling.denoiser import parameterize
from webui.sampling.noise_schedule import NoiseSchedule, model_schedule, scaled_linear_alphas
from webui.sampling.sampler import Sampler
from webui.sampling.trajectory import Trajectory

GOLDEN = Path(__file__).resolve().parents[2] / "golden"

Golden = Callable[[str], Any]
Predict = Callable[[Tensor], Tensor]


@pytest.fixture(scope="session")
def golden() -> Golden:
    """Read a golden file: ``golden("vectors/rng.json")``."""

    def read(name: str) -> Any:
        return json.loads((GOLDEN / name).read_text(encoding="utf-8"))

    return read


@pytest.fixture(scope="session")
def sd1() -> NoiseSchedule:
    return model_schedule(scaled_linear_alphas())


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return default_catalog()


class ToyModel:
    """A denoiser around a closed-form noise prediction; counts its calls."""

    def __init__(self, sampler: Sampler, trajectory: Trajectory, predict: Predict) -> None:
        self.sampler = sampler
        self.parameterization = parameterize(
            "eps", sampler.space, trajectory.noise_schedule, consistency=sampler.consistency
        )
        self.predict = predict
        self.calls = 0

    def __call__(self, x: Tensor, level: Tensor) -> Any:
        self.calls += 1
        output = self.predict(self.parameterization.network_input(x, level))
        answer = self.parameterization.convert(x, output, level)
        return (answer, 0.9 * answer) if self.sampler.needs_uncond else answer


@pytest.fixture(scope="session")
def wavy() -> Predict:
    """The recorded values' model: not linear, the same at all timesteps."""
    return lambda x: 0.8 * x + 0.1 * torch.sin(3 * x)


@pytest.fixture(scope="session")
def toy() -> type[ToyModel]:
    return ToyModel
