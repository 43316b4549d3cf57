"""Names of picture files: patterns such as ``[seed]-[prompt_spaces]``, made safe for any disk."""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

MAX_PART_CHARS = 128
MAX_NAME_BYTES = 255
NUMBER_ROOM = 48
"""Bytes kept free for the sequence number, a suffix and the extension."""

EXTENSION_ROOM = 16
"""Bytes kept free for the extension, and "-small"."""

_TOKEN = re.compile(r"\[([^\[\]]+)\]")
_NAME_AND_ARGUMENTS = re.compile(r"([^<>]+)((?:<[^<>]*>)*)")
_ARGUMENT = re.compile(r"<([^<>]*)>")
_WORD_ENDS = re.compile(f"[\\s{re.escape(string.punctuation)}]+")
_DATE_CODE = re.compile(r"%[aAbBdHIjmMpSfUwWyYZz%]")
_SEPARATORS = re.compile(r"[/\\]+")
_FORBIDDEN = frozenset('#<>:"/\\|?*')
_RESERVED_NAMES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)))
)
DEFAULT_DATETIME = "%Y%m%d%H%M%S"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNameFacts:
    """What a pattern can speak of.

    Attributes:
        created: when the picture was made, local time with its zone.
        job_timestamp: when the job began, ``YYYYmmddHHMMSS``.
        prompt: with styles; `prompt_no_styles` without.
        schedule: "" where the sampler has none.
        model_name: file stem. vae_file: file name, None for the checkpoint's own.
        denoising_strength: None for plain txt2img.
        batch_index, index_in_batch: counted from 0.
        is_zip: the name is for an archive of several pictures.
        image_hash: sha256 of the pixels, 64 hex digits.
        basename: first part of the name, e.g. "grid".
    """

    created: datetime
    job_timestamp: str = ""
    seed: int | None = None
    seed_first: int | None = None
    seed_last: int | None = None
    prompt: str = ""
    prompt_no_styles: str = ""
    negative_prompt: str = ""
    styles: tuple[str, ...] = ()
    steps: int = 0
    cfg_scale: float = 0.0
    width: int = 0
    height: int = 0
    sampler: str = ""
    schedule: str = ""
    model_hash: str = ""
    model_name: str = ""
    vae_file: str | None = None
    clip_skip: int = 1
    denoising_strength: float | None = None
    batch_size: int = 1
    batch_count: int = 1
    batch_index: int = 0
    index_in_batch: int = 0
    is_zip: bool = False
    image_hash: str = ""
    user: str = ""
    basename: str = ""


@dataclass(frozen=True, slots=True)
class NameRules:
    """How names are made.

    Attributes:
        max_words: of ``[prompt_words]``.
        unix: forbid only what no disk of a Unix can hold.
    """

    max_words: int = 8
    unix: bool = False


DEFAULT_RULES = NameRules()


def expand(pattern: str, facts: FileNameFacts, rules: NameRules = DEFAULT_RULES) -> str:
    """Replace the tokens of a pattern; each value is made safe, the text between is kept.

    Unknown tokens stay in their brackets. Tokens without a meaning for this picture (the batch
    number of a single picture) vanish together with the text before them.
    """
    parts: list[str] = []
    end = 0
    for found in _TOKEN.finditer(pattern):
        text, end = pattern[end : found.start()], found.end()
        value = _value(found[1], facts, rules)
        if value is None:
            parts += (text, found[0])
        elif value is not _NOTHING:
            parts += (text, value)
    return "".join((*parts, pattern[end:]))


def folder_parts(
    pattern: str, facts: FileNameFacts, rules: NameRules = DEFAULT_RULES
) -> tuple[str, ...]:
    """The folders that a pattern names, outermost first; slashes of the pattern separate them.

    None of them is empty, "." or "..", or holds a separator.
    """
    names = _SEPARATORS.split(expand(pattern, facts, rules))
    return tuple(name for name in (safe_name(name, rules) for name in names) if name)


def file_stem(pattern: str, facts: FileNameFacts, rules: NameRules = DEFAULT_RULES) -> str:
    """A file name without number and extension; "" if the pattern comes to nothing."""
    return safe_name(expand(pattern, facts, rules), rules)


def sanitize(text: str, rules: NameRules = DEFAULT_RULES, *, keep_spaces: bool = False) -> str:
    """Make a text safe inside a name: A1111's rules, and no character that cannot be shown."""
    if not keep_spaces:
        text = text.replace(" ", "_")
    shown = "".join("_" if _is_forbidden(char, rules) else char for char in text[: 4 * 1024])
    return shown.lstrip(" ")[:MAX_PART_CHARS].rstrip(" .")


def safe_name(text: str, rules: NameRules = DEFAULT_RULES, room: int = NUMBER_ROOM) -> str:
    """Make a text the name of a file or folder: short enough, not reserved, no separators.

    Returns: at most 255 bytes less `room`; "" where nothing is left.
    """
    shown = "".join("_" if _is_forbidden(char, rules) else char for char in text[: 4 * 1024])
    name = _cut(shown.strip(" "), MAX_NAME_BYTES - room).rstrip(" .")
    return f"_{name}" if name.partition(".")[0].lower() in _RESERVED_NAMES else name


def next_number(names: list[str], basename: str) -> int:
    """The number after the highest that a folder's file names begin with; 1 in an empty folder."""
    prefix = f"{basename}-" if basename else ""
    numbered = re.compile(re.escape(prefix) + r"(\d{1,9})(?:[-.]|$)")
    found = (numbered.match(name) for name in names)
    return max((int(match[1]) for match in found if match), default=0) + 1


def numbered_stem(number: int, basename: str, decoration: str) -> str:
    """``00012-decoration``, or ``grid-0012`` with a basename."""
    start = f"{basename}-{number:04}" if basename else f"{number:05}"
    return f"{start}-{decoration}" if decoration else start


def _is_forbidden(char: str, rules: NameRules) -> bool:
    if char == "/" or (char in _FORBIDDEN and not rules.unix):
        return True
    return char != "\u200d" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _cut(text: str, max_bytes: int) -> str:
    """Cut to a length in UTF-8, not inside a character."""
    return text.encode("utf-8")[:max_bytes].decode("utf-8", "ignore")


_NOTHING = "\0nothing"
"""Value of a token that vanishes with the text before it; no sanitised value can be equal to it."""


def _value(token: str, facts: FileNameFacts, rules: NameRules) -> str | None:
    """The value of a token; None where it is unknown."""
    read = _NAME_AND_ARGUMENTS.fullmatch(token)
    if read is None:
        return None
    name, arguments = read[1].lower(), _ARGUMENT.findall(read[2])
    with_arguments = _WITH_ARGUMENTS.get(name)
    if with_arguments is not None:
        return sanitize(with_arguments(facts, arguments), rules, keep_spaces=name != "hasprompt")
    if name == "prompt_words":
        words = [word for word in _WORD_ENDS.split(facts.prompt[: 64 * 1024]) if word]
        return sanitize(" ".join(words[: rules.max_words]) or "empty", rules, keep_spaces=True)
    plain = _PLAIN.get(name)
    if plain is None:
        return None
    value = plain(facts)
    if value is None:
        return _NOTHING
    return sanitize(str(value), rules, keep_spaces=name != "prompt")


def _batch_number(facts: FileNameFacts) -> int | None:
    return None if facts.batch_size == 1 or facts.is_zip else facts.index_in_batch + 1


def _generation_number(facts: FileNameFacts) -> int | None:
    if (facts.batch_size == 1 and facts.batch_count == 1) or facts.is_zip:
        return None
    return facts.batch_index * facts.batch_size + facts.index_in_batch + 1


def _seed_first(facts: FileNameFacts) -> int | str:
    first = facts.seed if facts.batch_size == 1 or facts.seed_first is None else facts.seed_first
    return "" if first is None else first


def _vae_name(facts: FileNameFacts) -> str:
    if not facts.vae_file:
        return "NoneType"
    return facts.vae_file.lstrip(".").partition(".")[0]


def _datetime(facts: FileNameFacts, arguments: list[str]) -> str:
    template = arguments[0] if arguments and arguments[0] else DEFAULT_DATETIME
    moment = facts.created
    if len(arguments) > 1:
        try:
            moment = moment.astimezone(zoneinfo.ZoneInfo(arguments[1]))
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            moment = facts.created
    return _DATE_CODE.sub(lambda code: moment.strftime(code[0]), template)


def _hash(text: str, arguments: list[str]) -> str:
    digits = int(arguments[0]) if arguments and re.fullmatch(r"\d{1,2}", arguments[0]) else 8
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:digits]


def _image_hash(facts: FileNameFacts, arguments: list[str]) -> str:
    digits = int(arguments[0]) if arguments and re.fullmatch(r"\d{1,2}", arguments[0]) else 64
    return facts.image_hash[:digits]


def _has_prompt(facts: FileNameFacts, arguments: list[str]) -> str:
    """Each argument that the prompt holds, else what stands after its ``|``."""
    prompt = facts.prompt.lower()
    found = ""
    for argument in arguments:
        wanted, _, default = argument.partition("|")
        if wanted:
            found += wanted.lower() if wanted.lower() in prompt else default.partition("|")[0]
    return found


_PLAIN: dict[str, Callable[[FileNameFacts], object]] = {
    "basename": lambda facts: facts.basename,
    "seed": lambda facts: "" if facts.seed is None else facts.seed,
    "seed_first": _seed_first,
    "seed_last": lambda facts: None if facts.batch_size == 1 else facts.seed_last,
    "steps": lambda facts: facts.steps,
    "cfg": lambda facts: facts.cfg_scale,
    "width": lambda facts: facts.width,
    "height": lambda facts: facts.height,
    "styles": lambda facts: ", ".join(n for n in facts.styles if n != "None") or "None",
    "sampler": lambda facts: facts.sampler,
    "sampler_scheduler": lambda facts: f"{facts.sampler} {facts.schedule}".strip(),
    "scheduler": lambda facts: facts.schedule or None,
    "model_hash": lambda facts: facts.model_hash,
    "model_name": lambda facts: facts.model_name,
    "date": lambda facts: facts.created.strftime("%Y-%m-%d"),
    "job_timestamp": lambda facts: facts.job_timestamp,
    "prompt": lambda facts: facts.prompt,
    "prompt_no_styles": lambda facts: facts.prompt_no_styles,
    "prompt_spaces": lambda facts: facts.prompt,
    "batch_number": _batch_number,
    "batch_size": lambda facts: facts.batch_size,
    "generation_number": _generation_number,
    "clip_skip": lambda facts: facts.clip_skip,
    "denoising": lambda facts: facts.denoising_strength or None,
    "user": lambda facts: facts.user,
    "vae_filename": _vae_name,
    "none": lambda _facts: "",
}
_WITH_ARGUMENTS: dict[str, Callable[[FileNameFacts, list[str]], str]] = {
    "datetime": _datetime,
    "prompt_hash": lambda facts, arguments: _hash(facts.prompt, arguments),
    "negative_prompt_hash": lambda facts, arguments: _hash(facts.negative_prompt, arguments),
    "full_prompt_hash": lambda facts, arguments: _hash(
        f"{facts.prompt} {facts.negative_prompt}", arguments
    ),
    "image_hash": _image_hash,
    "hasprompt": _has_prompt,
}
