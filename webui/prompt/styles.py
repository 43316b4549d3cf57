"""Styles: named pieces of prompt, kept in ``styles.csv``, merged into a prompt and found again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

PLACEHOLDER = "{prompt}"

StylesOnPaste = Literal["Ignore", "Apply", "Discard", "Apply if any"]

_SPACES = re.compile(r" {2,}")


@dataclass(frozen=True, slots=True)
class Style:
    """A named pair of templates.

    Args:
        name: unique in its file.
        prompt: text to append to the prompt, or to put it into in place of ``{prompt}``.
        negative_prompt: the same for the negative prompt.
    """

    name: str
    prompt: str = ""
    negative_prompt: str = ""


@dataclass(frozen=True, slots=True)
class FoundStyles:
    """A pasted prompt after looking for styles in it.

    Args:
        prompt: the positive prompt, without the styles if they were cut out.
        negative_prompt: the negative prompt, likewise.
        names: styles for the dropdown, in the order to apply them; None: leave it as it is.
    """

    prompt: str
    negative_prompt: str
    names: tuple[str, ...] | None


def merge_style(template: str, prompt: str) -> str:
    """Merge one template into one prompt.

    Every ``{prompt}`` in the template is replaced; without one the template is appended after a
    comma, or stands alone where the prompt is empty.
    """
    if PLACEHOLDER in template:
        return template.replace(PLACEHOLDER, prompt)
    return ", ".join(filter(None, (prompt.strip(), template.strip())))


def merge_styles(templates: Iterable[str], prompt: str) -> str:
    """Merge templates into a prompt, one after the other."""
    for template in templates:
        prompt = merge_style(template, prompt)
    return prompt


def apply_styles(prompt: str, negative_prompt: str, styles: Iterable[Style]) -> tuple[str, str]:
    """Return both prompts with the styles merged in, in the order of selection."""
    chosen = list(styles)
    return (
        merge_styles((style.prompt for style in chosen), prompt),
        merge_styles((style.negative_prompt for style in chosen), negative_prompt),
    )


def extract_style(template: str, prompt: str) -> str | None:
    """Return the prompt as it was before the template was merged into it; None: it was not.

    Runs of spaces count as one, here and in what is returned.
    """
    template, prompt = _normalised(template), _normalised(prompt)
    if PLACEHOLDER not in template:
        if not prompt.endswith(template):
            return None
        return prompt[: len(prompt) - len(template)].removesuffix(", ")
    count = template.count(PLACEHOLDER)
    rest = len(prompt) - (len(template) - count * len(PLACEHOLDER))
    if rest < 0 or rest % count:
        return None
    start = template.index(PLACEHOLDER)
    original = prompt[start : start + rest // count]
    return original if template.replace(PLACEHOLDER, original) == prompt else None


def find_styles(
    prompt: str, negative_prompt: str, styles: Iterable[Style]
) -> tuple[str, str, tuple[str, ...]]:
    """Find styles in a pasted prompt and cut them out.

    A style counts as found if both its templates fit. The first that fits is taken off and the
    search starts again, each style once, so that the last applied is the first found.

    Returns: the prompt, the negative prompt, and names in the order to apply them.
    """
    candidates = [style for style in styles if style.prompt or style.negative_prompt]
    names: list[str] = []
    searching = True
    while searching:
        searching = False
        for style in candidates:
            positive = extract_style(style.prompt, prompt)
            negative = extract_style(style.negative_prompt, negative_prompt)
            if positive is not None and negative is not None:
                prompt, negative_prompt = positive, negative
                names.append(style.name)
                candidates.remove(style)
                searching = True
                break
    return prompt, negative_prompt, tuple(reversed(names))


def styles_on_paste(
    prompt: str, negative_prompt: str, styles: Sequence[Style], mode: StylesOnPaste
) -> FoundStyles:
    """Treat styles in a pasted prompt as the setting `infotext_styles` asks.

    ``"Ignore"`` leaves everything as it is. The others cut found styles out of the prompts:
    ``"Apply"`` selects exactly those, even none; ``"Apply if any"`` selects them if there are some;
    ``"Discard"`` leaves the selection alone.
    """
    if mode == "Ignore":
        return FoundStyles(prompt, negative_prompt, None)
    prompt, negative_prompt, names = find_styles(prompt, negative_prompt, styles)
    select = mode == "Apply" or (mode == "Apply if any" and bool(names))
    return FoundStyles(prompt, negative_prompt, names if select else None)


def _normalised(text: str) -> str:
    return _SPACES.sub(" ", text.strip())
