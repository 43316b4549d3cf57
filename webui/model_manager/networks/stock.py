"""The folders and files of an installation's extra networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from webui.errors import StorageError
from webui.model_manager.index import FileVersion
from webui.model_manager.kinds import EMBEDDING, HYPERNETWORK, LORA, VAE, ModelKind
from webui.model_manager.library import Library
from webui.model_manager.loader import open_checkpoint
from webui.model_manager.networks.content import read_notes
from webui.model_manager.networks.embedding_shelf import EmbeddingShelf, Widths
from webui.model_manager.networks.files import AliasOf, NetworkFile, NetworkFiles, folder_scan
from webui.model_manager.networks.shelf import NetworkShelf, text_widths
from webui.model_manager.networks.vae import BESIDE, VaeRules
from webui.model_manager.scan import version_of


def network_shelf(library: Library) -> NetworkShelf:
    """Return the extra networks in all folders that are searched; nothing is read yet."""

    def files(kind: ModelKind, alias_of: AliasOf | None = None) -> NetworkFiles:
        return NetworkFiles(folder_scan(library.folders(kind), kind), alias_of)

    def known_hashes() -> dict[FileVersion, str]:
        known = library.catalog(LORA.id).files()
        return {file.version: file.hashes.addnet for file in known if file.hashes}

    embeddings = EmbeddingShelf(files(EMBEDDING), library.folders(EMBEDDING))
    return NetworkShelf(files(LORA, lora_alias), files(HYPERNETWORK), embeddings, known_hashes)


def lora_alias(file: NetworkFile) -> str:
    """Return the name that a LoRA file's notes give it, else the file's own."""
    alias = read_notes(file.path).get("ss_output_name")
    return alias if isinstance(alias, str) and alias else file.name


def vae_rules(library: Library, checkpoints: Sequence[Path], fixed: Path | None) -> VaeRules:
    """Return the VAE files: beside checkpoints (``.vae.``), and all in the folders of their own.

    Args:
        checkpoints: folders of checkpoints.
        fixed: the VAE of every checkpoint, where the command line names one.
    Raises: StorageError: if that cannot be found.
    """
    beside = folder_scan(checkpoints, BESIDE)
    own = folder_scan(library.folders(VAE), VAE)
    files = NetworkFiles(lambda: [*beside(), *own()])
    if fixed is None:
        return VaeRules(files)
    try:
        return VaeRules(files, NetworkFile(version_of(fixed.expanduser().resolve())))
    except OSError as error:
        raise StorageError(
            f"The VAE {fixed} of --vae-path cannot be read: name another."
        ) from error


def text_widths_of(checkpoint: Path) -> Widths:
    """Return how wide a checkpoint's text encoders are, from its header alone.

    Raises: UnsupportedModel: if the file is no checkpoint.
    """
    with open_checkpoint(checkpoint) as candidate:
        return text_widths(candidate.blueprint.networks)
