"""What the engine is given for one batch, whom it tells of its progress, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from PIL import Image
from torch import Tensor

from webui.engine.conditioning import ConditioningCache
from webui.engine.hooks import PassHooks
from webui.engine.preview import PreviewColors
from webui.engine.refiner import RefinerPlan
from webui.families.base import LoadedModel
from webui.families.embeddings import NO_EMBEDDINGS, Embeddings
from webui.images.resize import Upscaler
from webui.request import Batch, GenerationRequest
from webui.sampling.catalog import Catalog
from webui.settings import Settings


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts with styles, without comments and extra-network tags."""

    positive: str
    negative: str
    hires_positive: str = ""
    hires_negative: str = ""


@dataclass(frozen=True, slots=True)
class InitPictures:
    """The pictures of an img2img request, upright.

    Attributes:
        images: one for the whole batch, or one a picture.
        mask, latent_mask: of any mode and size.
    """

    images: tuple[Image.Image, ...]
    mask: Image.Image | None = None
    latent_mask: Image.Image | None = None


def no_embeddings(_model: LoadedModel) -> Embeddings:
    """Offer none."""
    return NO_EMBEDDINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One batch of a resolved request.

    Attributes:
        first_seeds: seeds of the request's first batch: the noise that masked content starts from.
        model_key: equal for two tasks only if the text encoder holds the same weights.
        embeddings: names in prompts that stand for vectors, for a model as it is now.
        enter_hires: puts the second pass's extra networks on the model; returns its `model_key`.
        hooks: of extensions; None: nobody wants to be called.
    """

    request: GenerationRequest
    settings: Settings
    batch: Batch
    prompts: Prompts
    model_key: Hashable
    first_seeds: tuple[int, ...]
    init: InitPictures | None = None
    refiner: RefinerPlan | None = None
    embeddings: Callable[[LoadedModel], Embeddings] = no_embeddings
    enter_hires: Callable[[LoadedModel], Hashable] | None = None
    hooks: PassHooks | None = None


class Watch(Protocol):
    """Told what the engine does; its methods may raise `JobStopped`."""

    def enter_pass(self, number: int, count: int) -> None:
        """Pass `number` (from 0) of `count` begins."""

    def step(self, index: int, total: int, denoised: Tensor) -> None:
        """Step `index` (from 1) of `total` is done; `denoised` [B, C, h, w] is the expected end."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What stays between batches.

    Attributes:
        upscalers: pixel upscalers by the name that requests use; None: Lanczos.
        colors: of live previews.
    """

    sampling: Catalog
    conditioning: ConditioningCache
    upscalers: Mapping[str, Upscaler | None] = field(default_factory=dict)
    colors: PreviewColors = field(default_factory=PreviewColors)


@dataclass(frozen=True, slots=True)
class Picture:
    """One finished picture.

    Attributes:
        mask, mask_composite: for inpainting: what was made anew, alone.
        before_hires, before_color: earlier stages, where the settings ask for them.
    """

    image: Image.Image
    mask: Image.Image | None = None
    mask_composite: Image.Image | None = None
    before_hires: Image.Image | None = None
    before_color: Image.Image | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the engine made of a task.

    Attributes:
        is_complete: False if the user stopped it half-way; the pictures are unfinished then.
        notes: facts for the infotext that only turned out while sampling, by infotext key.
        warnings: sentences for the user.
    """

    pictures: tuple[Picture, ...]
    is_complete: bool = True
    notes: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
