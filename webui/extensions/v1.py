"""All that an extension imports. Version 1.0; what stands here stays.

See docs/extensions.md for an example of each.
"""

from __future__ import annotations

import pluggy

from webui.engine.hooks import Pass, Step
from webui.errors import InvalidRequest
from webui.extensions.parameters import Field, ImageInput, ModelFile, Range
from webui.extensions.parts import (
    Captioner,
    FaceRestorer,
    ImageContext,
    Preprocessor,
    Unit,
    UnitContext,
    UpscaleContext,
    Upscaler,
)
from webui.request import Batch, GenerationRequest
from webui.sampling.sampler import Sampler
from webui.sampling.sigmas import Schedule

hook = pluggy.HookimplMarker("easel")
"""Marks a function of the module as the implementation of the hook of its name."""

__all__ = [
    "Batch",
    "Captioner",
    "FaceRestorer",
    "Field",
    "GenerationRequest",
    "ImageContext",
    "ImageInput",
    "InvalidRequest",
    "ModelFile",
    "Pass",
    "Preprocessor",
    "Range",
    "Sampler",
    "Schedule",
    "Step",
    "Unit",
    "UnitContext",
    "UpscaleContext",
    "Upscaler",
    "hook",
]
