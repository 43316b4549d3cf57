"""Read an infotext as A1111 does: with what old versions, add-ons and silence mean spelt out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from webui.errors import InvalidRequest
from webui.image_files.infotext import Params, Value, split_infotext
from webui.prompt.attention import parse_attention
from webui.prompt.styles import Style, find_styles, styles_on_paste
from webui.settings import Settings

SAME_CHECKPOINT = "Use same checkpoint"
SAME_SAMPLER = "Use same sampler"
SAME_SCHEDULE = "Use same scheduler"

_SILENCE: dict[str, Value] = {
    "Clip skip": "1",
    "Hires resize-1": 0,
    "Hires resize-2": 0,
    "Hires sampler": SAME_SAMPLER,
    "Hires schedule type": SAME_SCHEDULE,
    "Hires checkpoint": SAME_CHECKPOINT,
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": 32,
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": 0,
    "Schedule min sigma": 0,
    "Schedule rho": 0,
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Refiner switch by sampling steps": False,
}
"""What a picture was made with if its infotext says nothing."""

_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(?:-?(rc)\d*|-(\d+))?(?:-g[0-9a-f]+)?", re.IGNORECASE)
_BEFORE_1_6 = (1, 6, 0, 0)
_BEFORE_1_7_TSNR = (1, 7, 0, 225)
_BEFORE_1_8 = (1, 8, 0, 0)
_STYLES_IN_HIRES = (1, 8, 0, 139)

_LORA_TAG = re.compile(r"<lora:([^:>]+):")
_HASH_IN_BRACKETS = re.compile(r"(.*)\([^()]*\)", re.DOTALL)


def parse_infotext(text: str, settings: Settings, styles: Sequence[Style] = ()) -> Params:
    """Read an infotext and complete it.

    Args:
        text: of any origin and length.
        settings: what concerns pasting is used (`infotext_styles`, `auto_backcompat`, ...).
        styles: looked for in the prompts.
    Returns: strings as they stood there, and what was added: keys that were silent by default,
        "Styles array" if styles are to be selected.
    """
    prompt, negative_prompt, params = split_infotext(text)
    _take_styles(prompt, negative_prompt, params, settings, styles)
    _add_tags(params)
    for key, value in _SILENCE.items():
        params.setdefault(key, value)
    if params["FP8 weight"] != "Disable":
        params.setdefault("Cache FP16 weight for LoRA", False)
    _convert_first_pass(params)
    if "Emphasis" not in params and uses_emphasis(prompt_of(params), negative_of(params)):
        params["Emphasis"] = "Original"
    if settings.auto_backcompat:
        _add_old_behaviour(params)
    for key in settings.infotext_skip_pasting:
        params.pop(key, None)
    return params


def prompt_of(params: Params) -> str:
    """The prompt of a parsed infotext."""
    return str(params.get("Prompt", ""))


def negative_of(params: Params) -> str:
    """The negative prompt of a parsed infotext."""
    return str(params.get("Negative prompt", ""))


def uses_emphasis(*prompts: str) -> bool:
    """Whether any piece of the prompts is weighted."""
    try:
        return any(
            piece.weight != 1.0 and piece.text != "BREAK"
            for prompt in prompts
            for piece in parse_attention(prompt)
        )
    except InvalidRequest:
        return True


def rename_loras(params: Params, alias_of: Callable[[str], str | None]) -> Params:
    """Call LoRAs in the prompt by the names that they have here.

    Args:
        alias_of: the local name for a hash of "Lora hashes", None if there is no such file.
    Returns: a copy.
    """
    pairs = (pair.partition(":") for pair in str(params.get("Lora hashes", "")).split(","))
    hashes = {name.strip(): found.strip() for name, _, found in pairs}

    def renamed(tag: re.Match[str]) -> str:
        wanted = hashes.get(tag[1])
        alias = alias_of(wanted) if wanted else None
        return f"<lora:{alias}:" if alias else tag[0]

    return {**params, "Prompt": _LORA_TAG.sub(renamed, prompt_of(params))}


def version_of(text: str) -> tuple[int, ...] | None:
    """A1111's version as (major, minor, patch, commits since); None for other programs' versions.

    A release candidate counts as the commit before its release.
    """
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")[:3]]
    numbers += [0] * (3 - len(numbers))
    return (*numbers, -1 if found[2] else int(found[3] or 0))


def old_first_pass_size(width: int, height: int) -> tuple[int, int]:
    """The size of the first pass before A1111 1.0, where the sliders gave the final size."""
    scale = math.sqrt(512 * 512 / (width * height)) if width * height > 0 else 1.0
    return math.ceil(scale * width / 64) * 64, math.ceil(scale * height / 64) * 64


def _take_styles(
    prompt: str, negative_prompt: str, params: Params, settings: Settings, styles: Sequence[Style]
) -> None:
    """Put the prompts into `params`, without the styles that are found in them."""
    params["Prompt"], params["Negative prompt"] = prompt, negative_prompt
    mode = settings.infotext_styles
    if mode == "Ignore" or not styles:
        return
    found = styles_on_paste(prompt, negative_prompt, styles, mode)
    if "Hires prompt" in params or "Hires negative prompt" in params:
        version = version_of(str(params["Version"])) if "Version" in params else None
        if version is None or version > _STYLES_IN_HIRES:
            here = find_styles(prompt, negative_prompt, styles)
            hires = find_styles(
                str(params.get("Hires prompt", prompt)),
                str(params.get("Hires negative prompt", negative_prompt)),
                styles,
            )
            if here[2] != hires[2]:
                return
            params["Hires prompt"] = "" if hires[0] == here[0] else hires[0]
            params["Hires negative prompt"] = "" if hires[1] == here[1] else hires[1]
    params["Prompt"], params["Negative prompt"] = found.prompt, found.negative_prompt
    if found.names is not None:
        params["Styles array"] = list(found.names)


def _add_tags(params: Params) -> None:
    """Turn the keys of older hypernetworks and of kohya's add-on into tags of the prompt."""
    if "Hypernet" in params:
        strength = params.get("Hypernet strength", "1.0")
        params["Prompt"] = f"{prompt_of(params)}<hypernet:{params['Hypernet']}:{strength}>"
    if params.get("AddNet Enabled", "False") == "False":
        return
    tags = []
    for key, value in params.items():
        number = key.removeprefix("AddNet Model ")
        if number == key or params.get(f"AddNet Module {number}") != "LoRA":
            continue
        name = _HASH_IN_BRACKETS.fullmatch(str(value))
        weight = params.get(f"AddNet Weight A {number}", "1.0")
        tags.append(f"<lora:{name[1] if name else value}:{weight}>")
    if tags:
        params["Prompt"] = f"{prompt_of(params)}\n{''.join(tags)}"


def _convert_first_pass(params: Params) -> None:
    """Before 1.0 "Size" was the final size, and "First pass size" stood beside it."""
    try:
        first = int(str(params["First pass size-1"])), int(str(params["First pass size-2"]))
        final = int(str(params.get("Size-1", 512))), int(str(params.get("Size-2", 512)))
    except (KeyError, ValueError):
        return
    if 0 in first:
        first = old_first_pass_size(*final)
    params["Size-1"], params["Size-2"] = first
    params["Hires resize-1"], params["Hires resize-2"] = final


def _add_old_behaviour(params: Params) -> None:
    """Ask for the behaviour of the version that made the picture."""
    version = version_of(str(params.get("Version", "")))
    if version is None:
        return
    if version < _BEFORE_1_6 and "[" in prompt_of(params):
        params["Old prompt editing timelines"] = True
    if version < _BEFORE_1_6 and params.get("Sampler") in ("DDIM", "PLMS"):
        params["Pad conds v0"] = True
    if version < _BEFORE_1_7_TSNR:
        params["Downcast alphas_cumprod"] = True
    if version < _BEFORE_1_8 and params.get("Refiner"):
        params["Refiner switch by sampling steps"] = True
