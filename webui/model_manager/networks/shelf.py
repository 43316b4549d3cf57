"""Puts on a loaded model what a prompt asks for, and takes off what it does not."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import nn

from webui.errors import UnsupportedModel
from webui.families import clip
from webui.families.base import LoadedModel, Networks
from webui.families.embeddings import Embedding, Embeddings, Slot
from webui.model_manager.index import FileVersion
from webui.model_manager.networks.content import NETWORK_HASH_DIGITS, network_hash, read_notes
from webui.model_manager.networks.embedding_shelf import EmbeddingShelf
from webui.model_manager.networks.files import NetworkFile, NetworkFiles
from webui.model_manager.networks.hypernetwork import hypernetworks_in, read_hypernetwork
from webui.model_manager.networks.lora import LoraNetwork, read_lora
from webui.model_manager.networks.naming import Layer, layer_names
from webui.model_manager.networks.patcher import Addition, WeightPatcher
from webui.model_manager.networks.vae import VaeSwap
from webui.prompt.extra_networks import LoraArguments

KnownHashes = Callable[[], Mapping[FileVersion, str]]
KEPT_FILES = 2
"""LoRA files that stay in memory beside those in use, so that two passes can take turns."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pass asks for.

    Args:
        loras: in the prompt's order.
        hypernetworks: (name, multiplier), in the prompt's order.
    """

    loras: tuple[LoraArguments, ...] = ()
    hypernetworks: tuple[tuple[str, float], ...] = ()


NOTHING = Wanted()


class Applied(NamedTuple):
    """What was put on.

    Args:
        text_key: equal for two calls on one model only if its text encoders hold equal weights.
        warnings: sentences on what could not be put on.
    """

    text_key: Hashable
    warnings: tuple[str, ...]


@dataclass
class _Dressed:
    """What a model's networks have on.

    Args:
        model: whose weights the base is of; another model may come to use the same networks.
    """

    model: weakref.ref[LoadedModel]
    weights: WeightPatcher = field(default_factory=WeightPatcher)
    vae: VaeSwap = field(default_factory=VaeSwap)
    hooks: ExitStack = field(default_factory=ExitStack)
    lora_key: Hashable = ()
    hypernetwork_key: Hashable = ()
    bundled: tuple[Embedding, ...] = ()
    warnings: tuple[str, ...] = ()


class NetworkShelf:
    """The network files of an installation, and which of them which model has on.

    What is on stays on until something else is asked for: pictures with the same networks need
    nothing done between them. One thread at a time puts networks on.

    Args:
        loras, hypernetworks: by name.
        embeddings: read by themselves.
        known_hashes: of LoRA files, as far as they were computed behind the page.
    """

    def __init__(
        self,
        loras: NetworkFiles,
        hypernetworks: NetworkFiles,
        embeddings: EmbeddingShelf,
        known_hashes: KnownHashes = dict,
    ) -> None:
        self._known_hashes = known_hashes
        self.loras = loras
        self.hypernetworks = hypernetworks
        self.embeddings = embeddings
        self._dressed: weakref.WeakKeyDictionary[nn.Module, _Dressed] = weakref.WeakKeyDictionary()
        self._read: OrderedDict[FileVersion, LoraNetwork] = OrderedDict()
        self._hashes: dict[FileVersion, str] = {}
        self._last: tuple[Hashable, Embeddings] = ((), Embeddings((), clip.tokenize))
        self._lock = threading.Lock()

    def apply(self, model: LoadedModel, wanted: Wanted) -> Applied:
        """Put networks on a model, in place of those that it has on."""
        with self._lock:
            dressed = self._of(model)
            files, warnings = self._found(wanted.loras)
            key = tuple((file.version, one) for file, one in files)
            if key != dressed.lora_key:
                self._change_weights(model, dressed, files)
                dressed.lora_key = key
            warnings += dressed.warnings
            warnings += self._apply_hypernetworks(model, dressed, wanted)
            return Applied(tuple((v, one[:2], one.dynamic_rank) for v, one in key), tuple(warnings))

    def set_vae(self, model: LoadedModel, file: NetworkFile | None) -> None:
        """Give a model a VAE; None: its own.

        Raises: UnsupportedModel: if the file does not fit; the model keeps what it has.
        """
        with self._lock:
            self._of(model).vae.set(model.networks["vae"], file)

    def embeddings_for(self, model: LoadedModel) -> Embeddings:
        """Return the embeddings that prompts may name on a model, those of its LoRAs included."""
        with self._lock:
            widths = text_widths(model.networks)
            items = dict(self.embeddings.lists(widths).loaded)
            for bundled in self._of(model).bundled:
                if bundled.fits(widths):
                    items.setdefault(bundled.name, bundled)
            key = tuple(map(id, items.values()))
            if key != self._last[0]:
                self._last = key, Embeddings(items.values(), clip.tokenize)
            return self._last[1]

    def lora_hash(self, name: str) -> str:
        """Return the twelve digits that infotexts know a LoRA by; "" if there is none."""
        file = self.loras.find(name)
        return "" if file is None else self._hash_of(file)

    def lora_of_hash(self, short_hash: str) -> str | None:
        """Return the name of the LoRA with this hash here, None if none is known to have it.

        Nothing is hashed for the question: files whose hashes are not known yet are passed over.
        """
        known = {**self._known_hashes(), **self._hashes}
        for file in self.loras.files():
            if known.get(file.version, "")[:NETWORK_HASH_DIGITS] == short_hash:
                alias = self.loras.alias(file)
                return file.name if self.loras.is_ambiguous(alias) else alias
        return None

    def _hash_of(self, file: NetworkFile) -> str:
        if file.version not in self._hashes:
            noted = read_notes(file.path).get("sshs_model_hash")
            try:
                full = noted if isinstance(noted, str) and noted else None
                full = full or self._known_hashes().get(file.version)
                self._hashes[file.version] = full or network_hash(file.path, without_header=True)
            except OSError:
                return ""
        return self._hashes[file.version][:NETWORK_HASH_DIGITS]

    def refresh(self) -> None:
        """Look for new files of all kinds."""
        self.loras.refresh()
        self.hypernetworks.refresh()
        self.embeddings.refresh()

    def _of(self, model: LoadedModel) -> _Dressed:
        unet = model.networks["unet"]
        dressed = self._dressed.get(unet)
        if dressed is None or dressed.model() is not model:
            if dressed is not None:  # another checkpoint was read over these networks
                dressed.weights.forget()
                dressed.hooks.close()
            dressed = self._dressed[unet] = _Dressed(weakref.ref(model))
        return dressed

    def _found(
        self, loras: Sequence[LoraArguments]
    ) -> tuple[list[tuple[NetworkFile, LoraArguments]], list[str]]:
        """Look the names up. The same name twice has the last one's weights both times (A1111)."""
        last = {one.name: one for one in loras}
        found: list[tuple[NetworkFile, LoraArguments]] = []
        missing: list[str] = []
        for one in loras:
            file = self.loras.find(one.name)
            if file is None:
                missing.append(one.name)
            else:
                found.append((file, last[one.name]))
        return found, [f"Lora not found: {', '.join(missing)}"] if missing else []

    def _change_weights(
        self,
        model: LoadedModel,
        dressed: _Dressed,
        files: Sequence[tuple[NetworkFile, LoraArguments]],
    ) -> None:
        warnings: list[str] = []
        additions: dict[Layer, list[Addition]] = {}
        bundled: list[Embedding] = []
        layers = layer_names(model.networks, model.family_id) if files else {}
        for file, one in files:
            try:
                network = self._lora(file)
            except UnsupportedModel as error:
                warnings.append(str(error))
                continue
            bundled += network.embeddings
            matched, missing = network.matched(layers)
            warnings += _unmatched(one.name, missing, len(network.changes))
            for layer, change in matched.items():
                weight = one.text_encoder_weight if layer.is_text else one.unet_weight
                addition = Addition(one.name, change, weight, one.dynamic_rank)
                additions.setdefault(layer, []).append(addition)
        dressed.lora_key = None  # until all is done
        errors = dressed.weights.set(additions)
        if errors:
            counted = ", ".join(f"{name} ({count})" for name, count in errors.items())
            warnings.append(f"Networks with errors: {counted}")
        dressed.bundled, dressed.warnings = tuple(bundled), tuple(warnings)
        while len(self._read) > len(files) + KEPT_FILES:
            self._read.popitem(last=False)

    def _lora(self, file: NetworkFile) -> LoraNetwork:
        if file.version not in self._read:
            self._read[file.version] = read_lora(file.path)
        self._read.move_to_end(file.version)
        return self._read[file.version]

    def _apply_hypernetworks(
        self, model: LoadedModel, dressed: _Dressed, wanted: Wanted
    ) -> list[str]:
        warnings: list[str] = []
        found: list[tuple[NetworkFile, float]] = []
        for name, multiplier in wanted.hypernetworks:
            file = self.hypernetworks.find(name)
            if file is None:
                warnings.append(f"Hypernetwork not found: {name}")
            else:
                found.append((file, multiplier))
        key = tuple((file.version, multiplier) for file, multiplier in found)
        if key == dressed.hypernetwork_key:
            return warnings
        dressed.hooks.close()
        dressed.hypernetwork_key = None  # until all is done
        networks = []
        for file, multiplier in found:
            try:
                networks.append((read_hypernetwork(file.path), multiplier))
            except UnsupportedModel as error:
                warnings.append(str(error))
        dressed.hooks.enter_context(hypernetworks_in(model.networks["unet"], networks))
        if len(networks) == len(found):  # else read them again, and say so again
            dressed.hypernetwork_key = key
        return warnings


def text_widths(networks: Networks) -> Mapping[Slot, int]:
    """Return how wide the vectors of a model's text encoders are."""
    slots: tuple[tuple[str, Slot], ...] = (("text_encoder", "clip_l"), ("text_encoder_2", "clip_g"))
    return {
        slot: networks[role].config.hidden_size  # type: ignore[union-attr, misc]
        for role, slot in slots
        if role in networks
    }


def _unmatched(name: str, missing: Sequence[str], total: int) -> list[str]:
    if not missing:
        return []
    return [
        f"{len(missing)} of the {total} layers that {name} changes are not in this checkpoint, the"
        f" first is {missing[0]}: they had no effect."
    ]
