"""Every option, declared once: key, default, type, range, section, infotext key, who may set it.

`Settings` is a frozen snapshot; `SettingsStore` holds the current one, in `config.json`. The keys
and defaults are A1111's where
an option does the same, so that its users' config.json can be taken over. Labels and explanations
stand in the locale files
(`setting.<key>`); a section's order here is its order in the Settings tab.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from webui.errors import InvalidRequest, StorageError

MAX_FOREIGN_CHARACTERS = 1_000_000
Level = Literal["generation", "page", "admin"]
"""Who may change an option: 'generation': any request for itself; 'page': the user; 'admin':
whoever owns the installation.
"""

PictureFormat = Literal["png", "jpg", "webp", "avif"]


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """What the Settings tab and the infotext need to know of an option besides its type.

    Attributes:
        section: page of the Settings tab.
        infotext: key under which a non-default value stands in the infotext; None: it does not.
        level: who may change it.
        step: of its slider or number field; None: 1 for whole numbers, 0.01 for others.
        choices: name of a list that is only known at run time ('checkpoints', 'vaes', 'samplers',
            'upscalers', 'styles').
        reload: the page must be reloaded to show the change.
        shown: in the Settings tab; others are known from infotexts alone, nothing acts on them yet.
    """

    section: str
    infotext: str | None = None
    level: Level = "page"
    step: float | None = None
    choices: str | None = None
    reload: bool = False
    shown: bool = True


def option(default: Any, info: OptionInfo, **constraints: Any) -> Any:  # noqa: ANN401 - as pydantic.Field
    """Declare an option; `constraints` are pydantic's (ge, le, max_length, ...)."""
    return Field(default, json_schema_extra={"option": info}, **constraints)  # type: ignore[dict-item]


def generation(default: Any, section: str, infotext: str | None = None, **rest: Any) -> Any:  # noqa: ANN401
    """Declare an option that a request may override for itself."""
    extra = {k: rest.pop(k) for k in ("step", "choices", "shown") if k in rest}
    return option(default, OptionInfo(section, infotext, "generation", **extra), **rest)


def page(default: Any, section: str, **rest: Any) -> Any:  # noqa: ANN401
    """Declare an option of the page."""
    extra = {k: rest.pop(k) for k in ("step", "choices", "reload") if k in rest}
    return option(default, OptionInfo(section, None, "page", **extra), **rest)


def admin(default: Any, section: str, **rest: Any) -> Any:  # noqa: ANN401
    """Declare an option that raises rights or concerns the whole installation."""
    extra = {k: rest.pop(k) for k in ("step", "choices", "reload") if k in rest}
    return option(default, OptionInfo(section, None, "admin", **extra), **rest)


COLOR = r"^#[0-9a-fA-F]{6}$"


class Settings(BaseModel):
    """A snapshot of all options."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    # --- saving ---
    samples_save: bool = generation(True, "saving")
    samples_format: PictureFormat = generation("png", "saving")
    samples_filename_pattern: str = page("", "saving", max_length=500)
    save_images_add_number: bool = page(True, "saving")
    grid_save: bool = generation(True, "saving")
    grid_format: PictureFormat = generation("png", "saving")
    grid_only_if_multiple: bool = page(True, "saving")
    grid_prevent_empty_spots: bool = generation(False, "saving")
    n_rows: int = generation(-1, "saving", ge=-1, le=16)
    grid_background_color: str = generation("#ffffff", "saving", pattern=COLOR)
    jpeg_quality: int = generation(80, "saving", ge=1, le=100)
    webp_lossless: bool = generation(False, "saving")
    enable_pnginfo: bool = generation(True, "saving")
    save_txt: bool = page(False, "saving")
    export_for_4chan: bool = page(True, "saving")
    img_downscale_threshold: float = page(4.0, "saving", ge=0.1, le=1000)
    target_side_length: int = page(4000, "saving", ge=64, le=65536)
    img_max_size_mp: int = page(200, "saving", ge=1, le=1000)
    save_images_before_highres_fix: bool = generation(False, "saving")
    save_images_before_color_correction: bool = generation(False, "saving")
    save_mask: bool = generation(False, "saving")
    save_mask_composite: bool = generation(False, "saving")
    save_incomplete_images: bool = generation(False, "saving")
    save_selected_only: bool = page(True, "saving")
    save_write_log_csv: bool = page(True, "saving")
    save_to_dirs: bool = page(True, "saving")
    grid_save_to_dirs: bool = page(True, "saving")
    directories_filename_pattern: str = page("[date]", "saving", max_length=500)
    directories_max_prompt_words: int = page(8, "saving", ge=1, le=20)

    # --- model ---
    sd_model_checkpoint: str = generation("", "model", "Model hash", choices="checkpoints")
    sd_checkpoints_limit: int = admin(1, "model", ge=1, le=10)
    sd_vae: str = generation("Automatic", "model", "VAE", choices="vaes")
    sd_vae_overrides_per_model_preferences: bool = generation(True, "model")
    sd_lora: str = generation("None", "model", choices="loras")
    sd_hypernetwork: str = generation("None", "model", choices="hypernetworks")
    extra_networks_default_multiplier: float = generation(1.0, "model", ge=0, le=2, step=0.01)
    CLIP_stop_at_last_layers: int = generation(1, "model", "Clip skip", ge=1, le=12)
    sdxl_clip_l_skip: bool = generation(False, "model")
    sdxl_crop_top: int = generation(0, "model", ge=0, le=16384)
    sdxl_crop_left: int = generation(0, "model", ge=0, le=16384)
    sdxl_refiner_low_aesthetic_score: float = generation(2.5, "model", ge=0, le=100)
    sdxl_refiner_high_aesthetic_score: float = generation(6.0, "model", ge=0, le=100)
    emphasis: Literal["None", "Ignore", "Original", "No norm"] = generation(
        "Original", "model", "Emphasis"
    )
    comma_padding_backtrack: int = generation(20, "model", ge=0, le=74)
    enable_prompt_comments: bool = generation(True, "model")
    tiling: bool = generation(False, "model", "Tiling")
    randn_source: Literal["GPU", "CPU", "NV"] = generation("GPU", "model", "RNG")
    batch_invariant: bool = generation(False, "model")

    # --- img2img ---
    inpainting_mask_weight: float = generation(
        1.0, "img2img", "Conditional mask weight", ge=0, le=1, shown=False
    )
    initial_noise_multiplier: float = generation(
        1.0, "img2img", "Noise multiplier", ge=0, le=1.5, step=0.001
    )
    img2img_extra_noise: float = generation(0.0, "img2img", "Extra noise", ge=0, le=1)
    img2img_color_correction: bool = generation(False, "img2img")
    img2img_fix_steps: bool = generation(False, "img2img")
    img2img_background_color: str = generation("#ffffff", "img2img", pattern=COLOR)
    overlay_inpaint: bool = generation(True, "img2img")
    return_mask: bool = generation(False, "img2img")
    return_mask_composite: bool = generation(False, "img2img")
    upscaler_for_img2img: str = generation("None", "img2img", choices="upscalers")

    # --- upscaling ---
    ESRGAN_tile: int = page(192, "upscaling", ge=0, le=512, step=16)
    ESRGAN_tile_overlap: int = page(8, "upscaling", ge=0, le=48)

    # --- sampling ---
    eta_ancestral: float = generation(1.0, "sampling", "Eta", ge=0, le=1)
    eta_ddim: float = generation(0.0, "sampling", "Eta DDIM", ge=0, le=1)
    s_churn: float = generation(0.0, "sampling", "Sigma churn", ge=0, le=100)
    s_tmin: float = generation(0.0, "sampling", "Sigma tmin", ge=0, le=10)
    s_tmax: float = generation(0.0, "sampling", "Sigma tmax", ge=0, le=999)
    s_noise: float = generation(1.0, "sampling", "Sigma noise", ge=0, le=1.1, step=0.001)
    sigma_min: float = generation(0.0, "sampling", "Schedule min sigma", ge=0, le=10000)
    sigma_max: float = generation(0.0, "sampling", "Schedule max sigma", ge=0, le=10000)
    rho: float = generation(0.0, "sampling", "Schedule rho", ge=0, le=100)
    beta_dist_alpha: float = generation(0.6, "sampling", "Beta schedule alpha", ge=0.01, le=1)
    beta_dist_beta: float = generation(0.6, "sampling", "Beta schedule beta", ge=0.01, le=1)
    eta_noise_seed_delta: int = generation(0, "sampling", "ENSD", ge=-(2**31), le=2**31)
    always_discard_next_to_last_sigma: bool = generation(
        False, "sampling", "Discard penultimate sigma"
    )
    sgm_noise_multiplier: bool = generation(False, "sampling", "SGM noise multiplier")
    uni_pc_variant: Literal["bh1", "bh2", "vary_coeff"] = generation(
        "bh1", "sampling", "UniPC variant"
    )
    uni_pc_skip_type: Literal["time_uniform", "time_quadratic", "logSNR"] = generation(
        "time_uniform", "sampling", "UniPC skip type"
    )
    uni_pc_order: int = generation(3, "sampling", "UniPC order", ge=1, le=50)
    uni_pc_lower_order_final: bool = generation(True, "sampling", "UniPC lower order final")
    sd_noise_schedule: Literal["Default", "Zero Terminal SNR"] = generation(
        "Default", "sampling", "Noise Schedule"
    )
    skip_early_cond: float = generation(0.0, "sampling", "Skip Early CFG", ge=0, le=1)
    s_min_uncond: float = generation(0.0, "sampling", "NGMS", ge=0, le=15)
    s_min_uncond_all: bool = generation(False, "sampling", "NGMS all steps")
    pad_cond_uncond: bool = generation(False, "sampling", "Pad conds")
    pad_cond_uncond_v0: bool = generation(False, "sampling", "Pad conds v0")
    batch_cond_uncond: bool = generation(True, "sampling")
    enable_quantization: bool = generation(False, "sampling")
    token_merging_ratio: float = generation(
        0.0, "sampling", "Token merging ratio", ge=0, le=0.9, step=0.1
    )
    token_merging_ratio_img2img: float = generation(0.0, "sampling", ge=0, le=0.9, step=0.1)
    token_merging_ratio_hr: float = generation(
        0.0, "sampling", "Token merging ratio hr", ge=0, le=0.9, step=0.1
    )
    hires_fix_refiner_pass: Literal["first pass", "second pass", "both passes"] = generation(
        "second pass", "sampling", "Hires refiner"
    )

    # --- old pictures ---
    auto_backcompat: bool = page(True, "compatibility")
    use_old_scheduling: bool = generation(False, "compatibility", "Old prompt editing timelines")
    use_old_karras_scheduler_sigmas: bool = generation(False, "compatibility")
    use_downcasted_alpha_bar: bool = generation(False, "compatibility", "Downcast alphas_cumprod")
    refiner_switch_by_sample_steps: bool = generation(
        False, "compatibility", "Refiner switch by sampling steps"
    )
    no_dpmpp_sde_batch_determinism: bool = generation(False, "compatibility")
    use_old_emphasis_implementation: bool = generation(False, "compatibility")

    # --- infotext ---
    add_model_name_to_info: bool = generation(True, "infotext")
    add_model_hash_to_info: bool = generation(True, "infotext")
    add_vae_name_to_info: bool = generation(True, "infotext")
    add_vae_hash_to_info: bool = generation(True, "infotext")
    lora_add_hashes_to_infotext: bool = generation(True, "infotext")
    textual_inversion_add_hashes_to_infotext: bool = generation(True, "infotext")
    lora_bundled_ti_to_infotext: bool = generation(True, "infotext")
    add_version_to_infotext: bool = generation(True, "infotext")
    add_user_name_to_info: bool = page(False, "infotext")
    disable_weights_auto_swap: bool = page(True, "infotext")
    infotext_styles: Literal["Ignore", "Apply", "Discard", "Apply if any"] = page(
        "Apply if any", "infotext"
    )
    infotext_skip_pasting: tuple[str, ...] = page((), "infotext", max_length=100)

    # --- the page ---
    live_previews_enable: bool = generation(True, "interface")
    show_progress_every_n_steps: int = page(2, "interface", ge=-1, le=32)
    show_progress_in_title: bool = page(True, "interface")
    return_grid: bool = page(True, "interface")
    interrupt_after_current: bool = page(True, "interface")
    send_seed: bool = page(True, "interface")
    send_size: bool = page(True, "interface")
    disable_token_counters: bool = page(False, "interface")
    include_styles_into_token_counters: bool = page(True, "interface")
    keyedit_precision_attention: float = page(0.1, "interface", ge=0.01, le=0.2, step=0.001)
    keyedit_precision_extra: float = page(0.05, "interface", ge=0.01, le=0.2, step=0.001)
    keyedit_delimiters: str = page(r".,\/!?%^*;:{}=`~() ", "interface", max_length=100)
    keyedit_move: bool = page(True, "interface")
    localization: Literal["Browser", "en", "ko"] = page("Browser", "interface", reload=True)
    theme: Literal["system", "light", "dark"] = page("system", "interface", reload=True)

    # --- the API ---
    api_enable_requests: bool = admin(True, "api")
    api_forbid_local_requests: bool = admin(True, "api")


def option_info(key: str) -> OptionInfo:
    """The declaration of an option.

    Raises: KeyError: no such option.
    """
    return info_of(Settings.model_fields[key])


def info_of(declared: FieldInfo) -> OptionInfo:
    """The `OptionInfo` of a field of `Settings`."""
    extra: Any = declared.json_schema_extra
    info = extra["option"]
    assert isinstance(info, OptionInfo)
    return info


def sections() -> dict[str, list[str]]:
    """Keys of the options that the Settings tab shows, by section, in the order of declaration."""
    found: dict[str, list[str]] = {}
    for key, declared in Settings.model_fields.items():
        info = info_of(declared)
        if info.shown:
            found.setdefault(info.section, []).append(key)
    return found


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """A snapshot with some options changed.

    Raises: InvalidRequest: an unknown key, or a value that does not fit.
    """
    for key in changes:
        if key not in Settings.model_fields:
            raise InvalidRequest(key, f"There is no setting named '{key}'.")
    try:
        return Settings.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        raise InvalidRequest(
            key, f"The setting '{key}' cannot be {first['input']!r}: {first['msg']}."
        ) from None


def overridden(settings: Settings, overrides: Mapping[str, Any]) -> Settings:
    """The snapshot that one request works with.

    Raises: InvalidRequest: an unknown key, a value that does not fit, or an option that no request
        may change.
    """
    for key in overrides:
        if key in Settings.model_fields and option_info(key).level != "generation":
            raise InvalidRequest(key, f"The setting '{key}' cannot be overridden by a request.")
    return changed(settings, overrides) if overrides else settings


class SettingsStore:
    """Holds the current snapshot and keeps it in a JSON file.

    Keys that Easel does not know (another version's, an extension's) are kept in the file. A file
    that cannot be read is
    moved aside, never overwritten; `problems` says so.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._unknown: dict[str, Any] = {}
        self._listeners: list[Callable[[Settings, Settings], None]] = []
        self.problems: list[str] = []
        self._current = self._load()

    @property
    def current(self) -> Settings:
        """The snapshot in force."""
        return self._current

    @property
    def foreign(self) -> Mapping[str, Any]:
        """What the file holds under keys that Easel does not know."""
        return {k: v for k, v in self._unknown.items() if k not in Settings.model_fields}

    def keep_foreign(self, values: Mapping[str, Any]) -> None:
        """Keep values under keys that Easel does not know.

        Raises:
            InvalidRequest: they are too long; nothing is changed then.
            StorageError: the file could not be written; nothing is changed then.
        """
        with self._lock:
            unknown = {**self._unknown, **values}
            if len(json.dumps(unknown)) > MAX_FOREIGN_CHARACTERS:
                raise InvalidRequest(next(iter(values)), "These settings are too long to be kept.")
            self._write(self._current, unknown)
            self._unknown = unknown

    def subscribe(self, listener: Callable[[Settings, Settings], None]) -> None:
        """Have `listener(old, new)` called after each change, in the thread that made it."""
        self._listeners.append(listener)

    def update(self, changes: Mapping[str, Any]) -> Settings:
        """Change some options, for good.

        Raises:
            InvalidRequest: an unknown key, or a value that does not fit; nothing is changed then.
            StorageError: the file could not be written; nothing is changed then.
        """
        with self._lock:
            old = self._current
            new = changed(old, changes)
            if new == old:
                return old
            unknown = {k: v for k, v in self._unknown.items() if k not in changes}
            self._write(new, unknown)
            self._current, self._unknown = new, unknown
        for listener in self._listeners:
            listener(old, new)
        return new

    def _load(self) -> Settings:
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Settings()
        except (OSError, ValueError) as error:
            self._set_aside(error)
            return Settings()
        if not isinstance(stored, dict):
            self._set_aside(ValueError("not an object"))
            return Settings()
        settings = Settings()
        for key, value in stored.items():
            if key not in Settings.model_fields:
                self._unknown[key] = value
                continue
            try:
                settings = changed(settings, {key: value})
            except InvalidRequest as error:
                self._unknown[key] = value
                self.problems.append(f"{error} The default is used.")
        return settings

    def _set_aside(self, error: Exception) -> None:
        name, aside = self._file.name, self._file.with_suffix(".broken.json")
        self.problems.append(
            f"{name} could not be read ({error}); it is kept as {aside.name}, defaults are used."
        )
        try:
            self._file.replace(aside)
        except OSError:
            self.problems.append(
                f"{self._file.name} could not be renamed either: check the folder's permissions."
            )

    def _write(self, settings: Settings, unknown: Mapping[str, Any]) -> None:
        defaults = Settings().model_dump(mode="json")
        values = {k: v for k, v in settings.model_dump(mode="json").items() if v != defaults[k]}
        temporary = self._file.with_suffix(".tmp")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as out:
                json.dump({**unknown, **values}, out, indent=2, ensure_ascii=False)
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(self._file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StorageError(
                f"The settings could not be saved to {self._file.name} ({error.strerror}). Make"
                " room on the disk, or check the folder's permissions."
            ) from error
