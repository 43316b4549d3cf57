"""VAE files: which one a checkpoint gets, and its weights in the place of the checkpoint's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from webui.errors import UnsupportedModel
from webui.families import ldm
from webui.families.base import Header
from webui.families.ldm_names import vae_name
from webui.model_manager.kinds import VAE
from webui.model_manager.networks.files import NetworkFile, NetworkFiles
from webui.model_manager.tensor_file import open_tensor_file

BESIDE = replace(VAE, suffixes=tuple(f".vae{suffix}" for suffix in VAE.suffixes))
AUTOMATIC = ("Automatic", "auto", "")
BAKED_IN = "None"
_MAX_NOTES_BYTES = 1024 * 1024


class ChosenVae(NamedTuple):
    """What was chosen.

    Args:
        file: None: the checkpoint's own VAE.
        warning: a sentence, "" if the choice could be followed.
    """

    file: NetworkFile | None
    warning: str = ""


@dataclass(frozen=True, slots=True)
class VaeRules:
    """How a VAE is chosen; A1111's order.

    Args:
        files: by file name, suffix included.
        fixed: the one that the command line names.
    """

    files: NetworkFiles
    fixed: NetworkFile | None = None

    def choose(self, wanted: str, checkpoint: Path, *, overrides: bool) -> ChosenVae:
        """Choose the VAE of a checkpoint.

        Args:
            wanted: the setting: "Automatic", "None" (the checkpoint's own) or a file name.
            overrides: see the setting `sd_vae_overrides_per_model_preferences`.
        """
        if self.fixed is not None:
            return ChosenVae(self.fixed)
        if wanted not in AUTOMATIC and overrides:
            return self._named(wanted)
        noted = _noted_vae(checkpoint)
        if noted not in AUTOMATIC:
            chosen = self._named(noted)
            if not chosen.warning:
                return chosen
        for file in self.files.files():
            if file.path.name.startswith(checkpoint.stem):
                return ChosenVae(file)
        return ChosenVae(None) if wanted in AUTOMATIC else self._named(wanted)

    def _named(self, name: str) -> ChosenVae:
        if name == BAKED_IN:
            return ChosenVae(None)
        found = {file.path.name: file for file in self.files.files()}.get(name)
        if found is None:
            self.files.refresh()
            found = {file.path.name: file for file in self.files.files()}.get(name)
        if found is None:
            return ChosenVae(
                None,
                f"There is no VAE {name[:200]!r}: the checkpoint's own was used. Put it into"
                " models/VAE, or choose another.",
            )
        return ChosenVae(found)


def _noted_vae(checkpoint: Path) -> str:
    """The VAE that the user's notes beside a checkpoint name; "" for none."""
    with suppress(OSError, ValueError, RecursionError):
        with checkpoint.with_suffix(".json").open("rb") as file:
            notes = json.loads(file.read(_MAX_NOTES_BYTES))
        noted = notes.get("vae") if isinstance(notes, dict) else None
        if isinstance(noted, str):
            return noted
    return ""


class VaeSwap:
    """A VAE's weights in a model, with the model's own kept beside."""

    def __init__(self) -> None:
        self._own: dict[str, Tensor] = {}
        self.file: NetworkFile | None = None

    def set(self, vae: nn.Module, file: NetworkFile | None) -> None:
        """Read a file's weights into a VAE, or bring its own back; nothing is done if they are in.

        Raises:
            UnsupportedModel: if the file holds no VAE of this architecture; the former ones stay.
        """
        if file == self.file:
            return
        if file is None:
            self._restore(vae)
            return
        with open_tensor_file(file.path) as opened:
            try:
                names = _sources(vae, opened.header)
            except UnsupportedModel as error:
                raise UnsupportedModel(f"{file.path.name}: {error}") from error
            if not self._own:
                self._own = {name: one.detach().clone() for name, one in vae.named_parameters()}
            try:
                with torch.no_grad():
                    for name, parameter in vae.named_parameters():
                        opened.read_into(names[name], parameter)
            except BaseException:
                self._restore(vae)
                raise
        self.file = file

    @torch.no_grad()
    def _restore(self, vae: nn.Module) -> None:
        for name, parameter in vae.named_parameters():
            if name in self._own:
                parameter.copy_(self._own[name])
        self.forget()

    def forget(self) -> None:
        """Let go of the model's own weights, because others were read over them."""
        self._own.clear()
        self.file = None


def _sources(vae: nn.Module, header: Header) -> Mapping[str, str]:
    """Return the file's name for each of a VAE's parameters: CompVis' or diffusers'."""
    blocks = len(vae.config.block_out_channels)  # type: ignore[union-attr, arg-type]
    own = {name: vae_name(name, blocks) for name, _ in vae.named_parameters()}
    prefixed = {name: ldm.VAE_PREFIX + source for name, source in own.items()}
    key = "decoder.mid_block.resnets.0.conv1.weight"
    if key in header:
        names = {name: name for name in own}
    else:
        names = prefixed if prefixed[key] in header else own
    ldm.match_tensors("autoencoder (VAE)", vae, names, header)
    return names
