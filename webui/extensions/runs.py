"""One job's calls into extensions: hooks and units, bound to a request and its warnings."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar

from PIL import Image
from pydantic import ValidationError

from webui.engine.hooks import Pass, Step
from webui.engine.task import Outcome
from webui.errors import InvalidRequest
from webui.extensions.guard import Failed, Warn
from webui.extensions.hookspecs import STEP_HOOKS
from webui.extensions.parts import UNIT_STAGES, Toolbox, Unit, UnitContext
from webui.extensions.registry import Extensions
from webui.families.base import LoadedModel
from webui.request import Batch, GenerationRequest, invalid_request

T = TypeVar("T", Step, Pass)


def units_of(request: GenerationRequest, units: Mapping[str, type[Unit]]) -> list[Unit]:
    """The units that a request switches on, checked.

    Raises: InvalidRequest: an unknown unit, too many copies, or a field out of its range.
    """
    found: list[Unit] = []
    for name, copies in request.units.items():
        kind = units.get(name)
        if kind is None:
            raise InvalidRequest(
                "units",
                f"There is no unit named '{name[:100]}': is its extension installed and on?",
            )
        rows = copies if isinstance(copies, list | tuple) else [copies]
        if len(rows) > kind.max_units:
            raise InvalidRequest(
                "units", f"{kind.label}: at most {kind.max_units} at once, not {len(rows)}."
            )
        for row in rows:
            try:
                found.append(kind.model_validate(row))
            except ValidationError as error:
                wrong = invalid_request(error)
                raise InvalidRequest("units", f"{kind.label}: {wrong.reason}") from None
    return found


@dataclass(slots=True)
class Run:
    """The extensions' part in one job.

    Attributes:
        units: of the request, switched on.
        notes: for the infotext, by key.
    """

    extensions: Extensions
    request: GenerationRequest
    toolbox: Toolbox
    warn: Warn
    units: list[Unit] = field(default_factory=list)
    notes: dict[str, object] = field(default_factory=dict)

    def before_generate(self) -> GenerationRequest:
        """The request as extensions left it; their units are made here.

        Raises: InvalidRequest: a unit lacks something.
        """
        for extension, result in self.extensions.each(
            "before_generate", self.warn, request=self.request
        ):
            self.request = self._kept(extension, "before_generate", result, self.request)
        self.units = units_of(self.request, self.extensions.offers.units)
        for unit in self.units:
            self.call_unit(unit, "check", self._context())
        return self.request

    def before_batch(self, batch: Batch) -> Batch:
        """The batch as extensions left it; its size stays."""
        for extension, result in self.extensions.each(
            "before_batch", self.warn, batch=batch, request=self.request
        ):
            changed = self._kept(extension, "before_batch", result, batch)
            batch = changed if changed.size == batch.size else batch
        return batch

    @contextmanager
    def patched(self, model: LoadedModel) -> Iterator[None]:
        """The model with every extension's patch on it, taken off again at the end."""
        with ExitStack() as patches:
            for _, patch in self.extensions.each(
                "patch_model", self.warn, model=model, request=self.request
            ):
                if patch is not None:
                    patches.enter_context(patch)
            yield

    def batch_hooks(self) -> BatchHooks | None:
        """What the engine calls for one batch; None if nobody wants to be called."""
        hooks = {name for name in STEP_HOOKS if self.extensions.implementations(name)}
        if not hooks and not self.units:
            return None
        return BatchHooks(self, [(unit, self._context()) for unit in self.units], hooks)

    def finished(self, image: Image.Image, hooks: BatchHooks | None) -> Image.Image:
        """A finished picture as extensions left it."""
        for extension, result in self.extensions.each(
            "postprocess_image", self.warn, image=image, request=self.request
        ):
            image = self._kept(extension, "postprocess_image", result, image)
        for unit, ctx in hooks.units if hooks else ():
            result = self.call_unit(unit, "postprocess_image", ctx, image)
            image = result if isinstance(result, Image.Image) else image
        return image

    def finish(self, outcome: Outcome, hooks: BatchHooks | None) -> Outcome:
        """The pictures of a batch as extensions left them, with the units' notes."""
        if not outcome.is_complete:
            return outcome
        pictures = tuple(
            replace(picture, image=self.finished(picture.image, hooks))
            for picture in outcome.pictures
        )
        return replace(outcome, pictures=pictures, notes={**outcome.notes, **self.unit_notes()})

    def job_end(self, pictures: int) -> None:
        """All pictures are saved."""
        for _ in self.extensions.each(
            "job_end", self.warn, request=self.request, pictures=pictures
        ):
            pass

    def unit_notes(self) -> dict[str, object]:
        """The units' infotext: fields that name a key."""
        notes: dict[str, object] = {}
        for unit in self.units:
            for name, info in type(unit).model_fields.items():
                extra = info.json_schema_extra
                facts: Any = extra.get("easel") if isinstance(extra, dict) else None
                if isinstance(facts, dict) and facts.get("infotext"):
                    notes[str(facts["infotext"])] = getattr(unit, name)
        return notes | self.notes

    def _context(self) -> UnitContext:
        return UnitContext(
            self.request, self.toolbox, self.extensions.offers.preprocessors, notes=self.notes
        )

    def _kept(self, extension: str, hook: str, result: Any, before: Any) -> Any:  # noqa: ANN401
        if result is None:
            return before
        if isinstance(result, Image.Image) and isinstance(before, Image.Image):
            return result
        if type(result) is type(before):
            return result
        self.warn(
            f"The extension '{extension}' gave a {type(result).__name__} in '{hook}': it was"
            " left out."
        )
        return before

    def call_unit(self, unit: Unit, stage: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Call a method of a unit through the guard."""
        method = getattr(unit, stage)
        owner = self.extensions.offers.owners.get(("units", unit.id), unit.id)
        on_error: Literal["skip", "abort"] = unit.on_error
        return self.extensions.guard.call(
            owner,
            f"{unit.id}.{stage}",
            lambda: method(*arguments),
            warn=self.warn,
            on_error=on_error,
        )


class BatchHooks:
    """An `engine.hooks.PassHooks` for one batch."""

    def __init__(self, run: Run, units: list[tuple[Unit, UnitContext]], hooks: set[str]) -> None:
        self.units = units
        self._run = run
        self._hooks = hooks
        self._stages = {
            stage: [pair for pair in units if _implements(pair[0], stage)] for stage in UNIT_STAGES
        }

    def initial_noise(self, pass_: Pass) -> None:
        """See `PassHooks`."""
        self._tell("initial_noise", "pass_", pass_)

    def sampling_begin(self, pass_: Pass) -> None:
        """See `PassHooks`."""
        self._tell("sampling_begin", "pass_", pass_)

    def sampling_end(self, pass_: Pass) -> None:
        """See `PassHooks`."""
        self._tell("sampling_end", "pass_", pass_)

    def denoiser_input(self, step: Step) -> None:
        """See `PassHooks`."""
        self._tell("denoiser_input", "step", step)

    def denoiser_output(self, step: Step) -> None:
        """See `PassHooks`."""
        self._tell("denoiser_output", "step", step)

    def guidance(self, step: Step) -> None:
        """See `PassHooks`."""
        self._tell("guidance", "step", step)

    def after_guidance(self, step: Step) -> None:
        """See `PassHooks`."""
        self._tell("after_guidance", "step", step)

    def mask_blend(self, step: Step) -> None:
        """See `PassHooks`."""
        self._tell("mask_blend", "step", step)

    def decoded(self, images: list[Image.Image]) -> list[Image.Image]:
        """See `PassHooks`."""
        run = self._run
        for _, result in run.extensions.each("decoded", run.warn, images=list(images)):
            fits = isinstance(result, list) and len(result) == len(images)
            images = result if fits else images
        return images

    def _tell(self, hook: str, name: str, value: T) -> None:
        """Call all; what a failed one had assigned already is taken back."""
        run = self._run
        if hook in self._hooks:
            for extension, function, names in run.extensions.implementations(hook):
                before = copy.copy(value)
                arguments = {name: value} if name in names else {}
                result = run.extensions.guard.call(
                    extension,
                    hook,
                    partial(function, **arguments),
                    warn=run.warn,
                )
                if isinstance(result, Failed):
                    _take_back(value, before)
        for unit, ctx in self._stages[hook]:
            before = copy.copy(value)
            if isinstance(run.call_unit(unit, hook, ctx, value), Failed):
                _take_back(value, before)


def _take_back(value: Step | Pass, before: Step | Pass) -> None:
    for name in type(value).__slots__:
        setattr(value, name, getattr(before, name))


def _implements(unit: Unit, stage: str) -> bool:
    return getattr(type(unit), stage) is not getattr(Unit, stage)
