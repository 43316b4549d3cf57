"""What a merge of checkpoints is asked to do, and what the result says of it.

Names, texts and the order of keys are A1111's, so that its tools read the notes of our files and
ours those of its files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from webui.errors import InvalidRequest
from webui.model_manager.catalog import ModelFile

Interpolation = Literal["No interpolation", "Weighted sum", "Add difference"]
FILES_NEEDED: Mapping[str, int] = {"No interpolation": 1, "Weighted sum": 2, "Add difference": 3}
MAX_NAME_CHARACTERS = 200
MAX_METADATA_CHARACTERS = 1_000_000
_FORBIDDEN = set('/\\:*?"<>|')


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRecipe:
    """A merge.

    Attributes:
        primary, secondary, tertiary: names of checkpoints A, B, C; "" for none.
        multiplier: M, 0 to 1; see `webui.model_manager.merge`.
        save_as_half: single precision becomes half.
        custom_name: of the new file, without suffix; "": made of the formula.
        config_source: whose yaml is copied: 0 the first that has one, 1 B's, 2 C's, 3 none's.
        bake_in_vae: name of a VAE file; "None".
        discard_weights: regular expression; tensors in whose name it is found are left out.
        copy_metadata, add_merge_recipe: what the new file's notes hold, if `save_metadata`.
        metadata_json: further notes, a JSON object.
    """

    primary: str
    secondary: str = ""
    tertiary: str = ""
    interpolation: Interpolation = "Weighted sum"
    multiplier: float = 0.3
    save_as_half: bool = False
    custom_name: str = ""
    config_source: Literal[0, 1, 2, 3] = 0
    bake_in_vae: str = "None"
    discard_weights: str = ""
    save_metadata: bool = True
    add_merge_recipe: bool = True
    copy_metadata: bool = True
    metadata_json: str = "{}"

    def names(self) -> list[str]:
        """Return the checkpoints that the interpolation needs.

        Raises: InvalidRequest: one is missing.
        """
        fields = ("primary", "secondary", "tertiary")
        names = [self.primary, self.secondary, self.tertiary]
        needed = FILES_NEEDED[self.interpolation]
        for letter, field, name in zip("ABC"[:needed], fields, names, strict=False):
            if not name:
                raise InvalidRequest(field, f"Choose the checkpoint {letter}.")
        return names[:needed]

    def further_metadata(self) -> dict[str, str]:
        """Read `metadata_json`; values that are no text become JSON.

        Raises: InvalidRequest: it is no JSON object.
        """
        try:
            if len(self.metadata_json) > MAX_METADATA_CHARACTERS:
                raise ValueError
            found = json.loads(self.metadata_json or "{}")
            if not isinstance(found, dict):
                raise TypeError
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidRequest(
                "metadata_json", 'The metadata must be a JSON object: {"name": "text"}.'
            ) from error
        return {key: _text(value) for key, value in found.items()}


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint that goes into a merge: file, hashes known, and its notes."""

    file: ModelFile
    metadata: Mapping[str, str]


def result_name(recipe: MergeRecipe, sources: Sequence[Source], suffix: str) -> str:
    """Return the new file's name, ``.safetensors`` included.

    Args:
        suffix: ``.inpainting``, ``.instruct-pix2pix`` or "".
    Raises: InvalidRequest: the name given cannot be a file's.
    """
    name = recipe.custom_name.strip() or _formula(recipe, sources)
    if (
        any(character in _FORBIDDEN or not character.isprintable() for character in name)
        or name.startswith(".")
        or len(name) > MAX_NAME_CHARACTERS
    ):
        raise InvalidRequest(
            "custom_name", 'Choose a name of up to 200 letters, without / \\ : * ? " < > |.'
        )
    return f"{name}{suffix}.safetensors"


def _formula(recipe: MergeRecipe, sources: Sequence[Source]) -> str:
    a, *others = (source.file.model_name for source in sources)
    multiplier = round(recipe.multiplier, 2)
    if recipe.interpolation == "Weighted sum":
        name = f"{round(1 - recipe.multiplier, 2)}({a}) + {multiplier}({others[0]})"
    elif recipe.interpolation == "Add difference":
        name = f"{a} + {multiplier}({others[0]} - {others[1]})"
    else:
        name = a
    return name[:MAX_NAME_CHARACTERS]


def result_metadata(
    recipe: MergeRecipe,
    sources: Sequence[Source],
    *,
    is_inpainting: bool,
    is_instruct_pix2pix: bool,
) -> dict[str, str]:
    """Return the new file's notes."""
    if not recipe.save_metadata:
        return {}
    metadata: dict[str, str] = {}
    if recipe.copy_metadata:
        for source in sources:
            metadata |= source.metadata
    metadata |= recipe.further_metadata()
    metadata["format"] = "pt"
    if recipe.add_merge_recipe:
        hashes = [source.file.hashes.sha256 if source.file.hashes else None for source in sources]
        hashes += [None] * (3 - len(hashes))
        written = {
            "type": "webui",
            "primary_model_hash": hashes[0],
            "secondary_model_hash": hashes[1],
            "tertiary_model_hash": hashes[2],
            "interp_method": recipe.interpolation,
            "multiplier": recipe.multiplier,
            "save_as_half": recipe.save_as_half,
            "custom_name": recipe.custom_name,
            "config_source": recipe.config_source,
            "bake_in_vae": recipe.bake_in_vae,
            "discard_weights": recipe.discard_weights,
            "is_inpainting": is_inpainting,
            "is_instruct_pix2pix": is_instruct_pix2pix,
        }
        metadata["sd_merge_recipe"] = json.dumps(written)
        metadata["sd_merge_models"] = json.dumps(_ancestors(sources))
    return metadata


def _ancestors(sources: Sequence[Source]) -> dict[str, Any]:
    """Every checkpoint that ever went into these, by its sha256."""
    models: dict[str, Any] = {}
    for source in sources:
        hashes = source.file.hashes
        assert hashes is not None
        models[hashes.sha256] = {
            "name": source.file.name,
            "legacy_hash": hashes.old,
            "sd_merge_recipe": _parsed(source.metadata.get("sd_merge_recipe")),
        }
        former = _parsed(source.metadata.get("sd_merge_models"))
        if isinstance(former, dict):
            models |= former
    return models


def _parsed(text: str | None) -> Any:  # noqa: ANN401 - whatever the JSON holds
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
