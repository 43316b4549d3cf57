"""The checkpoint merger: A1111's formulas, tensor by tensor.

Weighted sum: ``A * (1 - M) + B * M``. Add difference: ``A + (B - C) * M``, where a tensor that C
lacks makes no difference. No interpolation: A as it is. Only tensors with ``model`` in their names
are merged; all others are A's.

No more than two tensors and the result are in memory at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import regex
import torch
from torch import Tensor

from webui.errors import InvalidRequest, StorageError, UnsupportedModel
from webui.families.base import TensorInfo
from webui.model_manager.recipe import MergeRecipe, Source, result_metadata, result_name
from webui.model_manager.tensor_file import ALL_DTYPES, TensorFile, open_tensor_file
from webui.model_manager.tensor_writer import TensorWriter

_SKIPPED = "cond_stage_model.transformer.text_model.embeddings.position_ids"
_VAE_PREFIX = "first_stage_model."
_NO_VAE_WEIGHTS = ("loss", "model_ema.")
_LATENT_CHANNELS = 4
_SUFFIXES = {4: "", 9: ".inpainting", 8: ".instruct-pix2pix"}
_NAMES = {dtype: name for name, dtype in ALL_DTYPES.items()}
MAX_PATTERN_CHARACTERS = 1000
PATTERN_SECONDS = 2.0

OnProgress = Callable[[int, int], None]
"""(tensors done, tensors in all). May raise to stop the merge."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Where one tensor of the result comes from.

    Args:
        how: ``merge`` A with B; ``widen``: the same with A's first four input channels only.
    """

    name: str
    how: Literal["copy", "bake", "merge", "widen"]
    info: TensorInfo


def merge(
    recipe: MergeRecipe,
    sources: Sequence[Source],
    vae: Path | None,
    folder: Path,
    on_progress: OnProgress,
) -> Path:
    """Merge checkpoints into a new file.

    Args:
        sources: as many as the recipe's interpolation needs.
        vae: file that is baked in.
        folder: where the result is written; all of it or nothing.
    Raises:
        InvalidRequest: the recipe cannot be followed; nothing was read.
        UnsupportedModel: a file is damaged, or the checkpoints do not fit together.
        StorageError: the result exists already, or could not be written.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(open_tensor_file(one.file.path)) for one in sources]
        baked = stack.enter_context(open_tensor_file(vae)) if vae else None
        parts = _plan(recipe, files, baked)
        suffix = _channel_suffix(parts)
        path = folder / result_name(recipe, sources, suffix)
        if path.exists():
            raise StorageError(f"There is a {path.name} already: choose another name.")
        metadata = result_metadata(
            recipe,
            sources,
            is_inpainting=suffix == ".inpainting",
            is_instruct_pix2pix=suffix == ".instruct-pix2pix",
        )
        announced = {part.name: part.info for part in parts}
        with TensorWriter(path, announced, metadata) as writer:
            for number, part in enumerate(parts):
                on_progress(number, len(parts))
                tensor = _make(part, recipe, files, baked)
                writer.write(part.name, tensor.to(ALL_DTYPES[part.info.dtype]))
    _copy_config(recipe, sources, path)
    on_progress(len(parts), len(parts))
    return path


def _plan(
    recipe: MergeRecipe, files: Sequence[TensorFile], baked: TensorFile | None
) -> list[_Part]:
    is_merging = recipe.interpolation != "No interpolation"
    found = []
    for name in _kept(files[0].header, recipe.discard_weights):
        own = files[0].header[name]
        if baked is not None and _baked_name(name) in baked.header:
            shape = baked.header[_baked_name(name)]
            found.append(_part(name, "bake", shape, half=recipe.save_as_half))
        elif not is_merging:
            found.append(_part(name, "copy", own, half=recipe.save_as_half))
        elif "model" not in name or name == _SKIPPED or name not in files[1].header:
            found.append(_part(name, "copy", own, half=False))
        else:
            others = [file.header[name] for file in files[1:] if name in file.header]
            found.append(_merged(name, own, others, half=recipe.save_as_half))
    if not found:
        raise InvalidRequest("discard_weights", "The pattern would discard every weight.")
    return found


def _merged(name: str, own: TensorInfo, others: Sequence[TensorInfo], *, half: bool) -> _Part:
    other = others[0]
    if any(more.shape != other.shape for more in others):
        raise UnsupportedModel(f"B and C do not fit together: {name} differs in shape.")
    if own.shape == other.shape:
        dtype = _computed(own.dtype)
        for more in others:
            dtype = torch.promote_types(dtype, _computed(more.dtype))
        return _part(name, "merge", TensorInfo(own.shape, _NAMES[dtype]), half=half)
    is_convolution = len(own.shape) == len(other.shape) == 4
    if not is_convolution or (own.shape[0], *own.shape[2:]) != (other.shape[0], *other.shape[2:]):
        raise UnsupportedModel(
            f"The checkpoints do not fit together: {name} is {own.shape} in A and {other.shape}"
            " in B. Choose checkpoints of one family."
        )
    if own.shape[1] == _LATENT_CHANNELS and other.shape[1] in (8, 9):
        kind = "an inpainting" if other.shape[1] == 9 else "an InstructPix2Pix"
        raise UnsupportedModel(
            f"B is {kind} checkpoint and A is an ordinary one: exchange A and B."
        )
    if other.shape[1] != _LATENT_CHANNELS or own.shape[1] not in (8, 9):
        raise UnsupportedModel(f"The checkpoints do not fit together: {name} differs in channels.")
    return _part(name, "widen", own, half=half)


def _part(
    name: str, how: Literal["copy", "bake", "merge", "widen"], info: TensorInfo, *, half: bool
) -> _Part:
    if info.dtype not in ALL_DTYPES:
        raise UnsupportedModel(f"{name} has the number format {info.dtype}.")
    dtype = "F16" if half and info.dtype == "F32" else info.dtype
    return _Part(name, how, TensorInfo(info.shape, dtype))


def _channel_suffix(parts: Sequence[_Part]) -> str:
    widened = [part.info.shape[1] for part in parts if part.how == "widen"]
    return _SUFFIXES[max(widened, default=_LATENT_CHANNELS)]


def _make(
    part: _Part, recipe: MergeRecipe, files: Sequence[TensorFile], baked: TensorFile | None
) -> Tensor:
    if part.how == "bake":
        assert baked is not None
        return _read(baked, _baked_name(part.name))
    if part.how == "copy":
        return _read(files[0], part.name)
    if recipe.interpolation == "Add difference":
        added = _difference(part.name, files[1], files[2])
    else:
        added = _numbers(files[1], part.name)
    added = _scaled(added, recipe.multiplier)
    own = _read(files[0], part.name) if part.how == "widen" else _numbers(files[0], part.name)
    target = own[:, :_LATENT_CHANNELS] if part.how == "widen" else own
    kept = target
    if recipe.interpolation == "Weighted sum":
        kept = _scaled(target, 1 - recipe.multiplier)
    if part.how == "widen":
        target.copy_(kept + added)
        return own
    return kept.add_(added) if _can_hold(kept, added) else kept + added


def _difference(name: str, second: TensorFile, third: TensorFile) -> Tensor:
    minuend = _numbers(second, name)
    if name not in third.header:
        return torch.zeros_like(minuend)
    subtrahend = _numbers(third, name)
    if _can_hold(minuend, subtrahend):
        return minuend.sub_(subtrahend)
    return minuend - subtrahend


def _scaled(tensor: Tensor, factor: float) -> Tensor:
    return tensor.mul_(factor)


def _can_hold(target: Tensor, other: Tensor) -> bool:
    return torch.promote_types(target.dtype, other.dtype) == target.dtype


def _read(file: TensorFile, name: str) -> Tensor:
    info = file.header[name]
    tensor = torch.empty(info.shape, dtype=ALL_DTYPES[info.dtype])
    file.read_into(name, tensor)
    return tensor


def _numbers(file: TensorFile, name: str) -> Tensor:
    """Read a tensor in a format that can be computed with."""
    tensor = _read(file, name)
    return tensor.to(_computed(file.header[name].dtype))


def _computed(dtype: str) -> torch.dtype:
    if dtype not in ALL_DTYPES:
        raise UnsupportedModel(f"The number format {dtype} cannot be merged.")
    found = ALL_DTYPES[dtype]
    return found if found.is_floating_point and found.itemsize > 1 else torch.float32


def _baked_name(name: str) -> str:
    """A tensor's name in a VAE file; "" for what is not the VAE's."""
    inner = name.removeprefix(_VAE_PREFIX)
    return "" if inner == name or inner.startswith(_NO_VAE_WEIGHTS) else inner


def _kept(names: Mapping[str, TensorInfo], pattern: str) -> Iterator[str]:
    """Yield the names in which a pattern is not found, within a bound of time."""
    if not pattern:
        yield from names
        return
    try:
        if len(pattern) > MAX_PATTERN_CHARACTERS:
            raise regex.error("too long")
        compiled = regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise InvalidRequest(
            "discard_weights", f"The pattern is no regular expression: {error}."
        ) from error
    deadline = time.monotonic() + PATTERN_SECONDS
    for name in names:
        try:
            left = max(0.001, deadline - time.monotonic())
            if compiled.search(name, timeout=left) is None:
                yield name
        except TimeoutError as error:
            raise InvalidRequest(
                "discard_weights", "The pattern takes too long: write it more simply."
            ) from error


def _copy_config(recipe: MergeRecipe, sources: Sequence[Source], path: Path) -> None:
    """Put a source's yaml beside the result."""
    chosen = {0: sources[:], 1: sources[1:2], 2: sources[2:3], 3: []}[recipe.config_source]
    for source in chosen:
        config = source.file.path.with_suffix(".yaml")
        if config.is_file():
            try:
                path.with_suffix(".yaml").write_bytes(config.read_bytes())
            except OSError as error:
                raise StorageError(
                    f"{path.name} was made, but its configuration {config.name} could not be"
                    f" copied ({error.strerror}): copy it by hand."
                ) from error
            return
