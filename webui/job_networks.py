"""The extra networks and the VAE of one job: from the prompts' tags to what the model has on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from webui.engine.task import Prompts, Task
from webui.families.base import LoadedModel
from webui.model_manager.catalog import CheckpointFile
from webui.model_manager.networks.content import network_hash
from webui.model_manager.networks.files import NetworkFile
from webui.model_manager.networks.shelf import NOTHING, NetworkShelf, Wanted
from webui.model_manager.networks.vae import VaeRules
from webui.prompt.extra_networks import (
    HYPERNETWORK_KIND,
    LORA_KINDS,
    ExtraNetwork,
    format_extra_network,
    hypernetwork_arguments,
    lora_arguments,
    parse_extra_networks,
)
from webui.request import GenerationRequest
from webui.settings import Settings

VAE_HASH_DIGITS = 10


@dataclass(frozen=True, slots=True)
class NetworkStock:
    """The network files of an installation."""

    shelf: NetworkShelf
    vaes: VaeRules


@dataclass
class JobNetworks:
    """What a job's prompts and settings ask for beside the checkpoint.

    Args:
        prompts: with tags.
        warn: told each sentence once.

    Attributes:
        prompts: with the tags that the settings add.
    """

    request: GenerationRequest
    settings: Settings
    prompts: Prompts
    stock: NetworkStock
    warn: Callable[[str], None]
    _warned: set[str] = field(default_factory=set)
    _vae: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        self.prompts = _with_settings(self.prompts, self.settings, self.stock.shelf)

    @cached_property
    def _first(self) -> Wanted:
        return self._wanted(self.prompts.positive)

    @cached_property
    def _second(self) -> Wanted:
        return self._wanted(self.prompts.hires_positive or self.prompts.positive)

    def put_on(self, task: Task, model: LoadedModel, checkpoint: CheckpointFile) -> Task:
        """Put the first pass's networks on a model; nothing is done where they are already."""
        return replace(
            task,
            model_key=self._apply(model, self._first, checkpoint),
            embeddings=self.stock.shelf.embeddings_for,
            enter_hires=lambda model: self._apply(model, self._second, checkpoint),
        )

    def put_on_refiner(
        self, refiner: LoadedModel, model: LoadedModel, checkpoint: CheckpointFile
    ) -> None:
        """Make the refiner ready. One of another family goes without the prompt's networks (A1111).

        Args:
            model: that the refiner takes over from.
            checkpoint: the refiner's.
        """
        self.stock.shelf.set_vae(refiner, self._chosen_vae(checkpoint))
        same = refiner.family_id == model.family_id
        self._apply(refiner, self._first if same else NOTHING, checkpoint)

    @property
    def vae(self) -> tuple[str, str] | None:
        """File name and hash of the VAE in use; None: the checkpoint's own."""
        return self._vae

    @cached_property
    def lora_hashes(self) -> str:
        """What infotexts say of the LoRAs of both passes, once a pass has run; "" for nothing."""
        wanted = (*self._first.loras, *(self._second.loras if self.request.hires else ()))
        if not self.settings.lora_add_hashes_to_infotext:
            return ""
        hashes = {one.name: self.stock.shelf.lora_hash(one.name) for one in wanted}
        return ", ".join(f"{name}: {known}" for name, known in hashes.items() if known)

    def infotext(self, model: LoadedModel, embeddings: Iterable[str]) -> dict[str, str]:
        """Return the infotext's keys on networks, for the embeddings that the prompts use."""
        pairs = {
            "Lora hashes": self.lora_hashes,
            "TI hashes": self._embedding_hashes(model, embeddings),
        }
        return {key: text for key, text in pairs.items() if text}

    def _embedding_hashes(self, model: LoadedModel, names: Iterable[str]) -> str:
        if not self.settings.textual_inversion_add_hashes_to_infotext:
            return ""
        known = self.stock.shelf.embeddings_for(model)
        pairs = []
        for name in names:
            embedding = known.get(name)
            if embedding is None or not embedding.short_hash:
                continue
            if embedding.is_bundled and not self.settings.lora_bundled_ti_to_infotext:
                continue
            written = name.replace(":", "").replace(",", "")
            pairs.append(f"{written}: {embedding.short_hash}")
        return ", ".join(pairs)

    def _apply(self, model: LoadedModel, wanted: Wanted, checkpoint: CheckpointFile) -> Hashable:
        applied = self.stock.shelf.apply(model, wanted)
        self._tell(applied.warnings)
        return checkpoint.short_title, applied.text_key

    def give_vae(self, model: LoadedModel, checkpoint: CheckpointFile) -> None:
        """Give a model the VAE that request, settings and files ask for.

        Raises: UnsupportedModel: if the file does not fit the model.
        """
        file = self._chosen_vae(checkpoint)
        self.stock.shelf.set_vae(model, file)
        if file is None:
            self._vae = None
        else:
            self._vae = file.path.name, network_hash(file.path)[:VAE_HASH_DIGITS]

    def _chosen_vae(self, checkpoint: CheckpointFile) -> NetworkFile | None:
        chosen = self.stock.vaes.choose(
            self.request.vae or self.settings.sd_vae,
            checkpoint.path,
            overrides=self.settings.sd_vae_overrides_per_model_preferences,
        )
        self._tell([chosen.warning] if chosen.warning else [])
        return chosen.file

    def _wanted(self, prompt: str) -> Wanted:
        if not self.request.extra_networks:
            return NOTHING
        tags = parse_extra_networks(prompt).networks
        known = (*LORA_KINDS, HYPERNETWORK_KIND)
        unknown = dict.fromkeys(tag.kind for tag in tags if tag.kind not in known)
        self._tell(f"Skipping unknown extra network: {kind}" for kind in unknown)
        return Wanted(
            tuple(lora_arguments(tag) for tag in tags if tag.kind in LORA_KINDS),
            tuple(hypernetwork_arguments(tag) for tag in tags if tag.kind == HYPERNETWORK_KIND),
        )

    def _tell(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            if sentence not in self._warned:
                self._warned.add(sentence)
                self.warn(sentence)


def _with_settings(prompts: Prompts, settings: Settings, shelf: NetworkShelf) -> Prompts:
    """Add the tags that the settings ask for in every prompt, where the files exist."""
    added = ""
    tags = parse_extra_networks(prompts.positive).networks
    for name, kinds, files in (
        (settings.sd_hypernetwork, (HYPERNETWORK_KIND,), shelf.hypernetworks),
        (settings.sd_lora, LORA_KINDS, shelf.loras),
    ):
        if name not in ("None", "") and not _names(tags, kinds, name) and files.find(name):
            weight = repr(settings.extra_networks_default_multiplier)
            added += format_extra_network(kinds[0], name, weight)
    if not added:
        return prompts
    hires = prompts.hires_positive
    return replace(
        prompts,
        positive=prompts.positive + added,
        hires_positive=hires + added if hires else "",
    )


def _names(tags: Iterable[ExtraNetwork], kinds: Iterable[str], name: str) -> bool:
    return any(tag.kind in kinds and tag.positional[:1] == [name] for tag in tags)
