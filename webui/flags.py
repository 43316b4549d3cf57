"""The command line. A1111's names where a flag does the same."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from webui import __version__
from webui.accounts import Credential

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
DtypeName = Literal["auto", "float32", "bfloat16", "float16"]
DEFAULT_PORT = 7860
MODEL_FLAGS = {
    "vae": ("--vae-dir",),
    "lora": ("--lora-dir", "--lyco-dir"),
    "embedding": ("--embeddings-dir",),
    "hypernetwork": ("--hypernetwork-dir",),
    "controlnet": ("--controlnet-dir",),
    "upscaler": (
        "--esrgan-models-path",
        "--realesrgan-models-path",
        "--bsrgan-models-path",
        "--dat-models-path",
    ),
    "face_restoration": ("--gfpgan-models-path", "--codeformer-models-path"),
}
"""Flags that name further folders with models of a kind, by the kind's id; A1111's names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """`generate`: one picture without a browser.

    Attributes:
        out: file to write; its suffix decides the format.
        width, height: pixels; None: the checkpoint's native size.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int = -1
    steps: int = 20
    cfg_scale: float = 7.0
    sampler: str = "DPM++ 2M"
    schedule: str = "Automatic"
    width: int | None = None
    height: int | None = None
    out: Path = Path("picture.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The parsed command line.

    Attributes:
        port: None: the first free one from 7860 on.
        threads: of the CPU for the networks; None: as many as there are cores.
        model_dirs: further folders by the id of a kind of model, e.g. ``lora``.
        checkpoint: file or name to start with; None: the last one used.
        auth: users who may log in; never shown.
        allow_hosts: further names under which the server is asked for, e.g. behind a proxy.
        vae_path: the VAE of every checkpoint, whatever the settings say.
        safe_mode: load no extension.
        disabled_extensions: ids left out for this run.
        generate: set for the sub-command of that name.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    listen: bool = False
    data_dir: Path | None = None
    models_dir: Path | None = None
    checkpoint_dir: tuple[Path, ...] = ()
    model_dirs: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    checkpoint: str | None = None
    vae_path: Path | None = None
    device: DeviceName = "auto"
    dtype: DtypeName = "auto"
    vae_dtype: DtypeName = "auto"
    threads: int | None = None
    browser: bool = True
    theme: Literal["system", "light", "dark"] | None = None
    styles_files: tuple[str, ...] = ()
    max_batch_count: int = 100
    insecure_no_auth: bool = False
    api_server_stop: bool = False
    auth: tuple[Credential, ...] = field(default=(), repr=False)
    allow_hosts: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    safe_mode: bool = False
    disabled_extensions: tuple[str, ...] = ()
    log_level: str = "INFO"
    generate: Generate | None = None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="webui.sh", description="Easel: a web UI for Stable Diffusion."
    )
    parser.add_argument("--version", action="version", version=f"Easel {__version__}")
    _add_page_flags(parser.add_argument_group("page"))
    _add_identity_flags(parser.add_argument_group("users and network"))
    _add_file_flags(parser.add_argument_group("files"))
    _add_device_flags(parser.add_argument_group("device"))
    _add_extension_flags(parser.add_argument_group("extensions"))
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    parser.add_argument("--loglevel", default="INFO", choices=levels)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_generate_flags(commands.add_parser("generate", help="make one picture, then exit"))
    return parser


def _add_page_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--port", type=_port, help="default: the first free one from 7860 on")
    group.add_argument(
        "--listen",
        action="store_true",
        help="let other computers of the network in (needs --auth)",
    )
    group.add_argument(
        "--server-name", metavar="ADDRESS", help="address to listen on (default 127.0.0.1)"
    )
    group.add_argument(
        "--insecure-no-auth",
        action="store_true",
        help="allow --listen without passwords: everyone on the network can use this computer",
    )
    group.add_argument(
        "--api-server-stop",
        action="store_true",
        help="let the administrator end the server by a request",
    )
    group.add_argument("--no-browser", action="store_true", help="do not open a browser")
    group.add_argument("--theme", choices=("system", "light", "dark"), help="colours of the page")
    group.add_argument(
        "--max-batch-count", type=_positive, default=100, help="largest batch count of the page"
    )


def _add_identity_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--auth",
        "--gradio-auth",
        "--api-auth",
        action="append",
        default=[],
        metavar="USER:PASSWORD",
        help="who may use page and API (repeatable, or with commas); the first is administrator",
    )
    group.add_argument(
        "--auth-file",
        "--gradio-auth-path",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="the same from a file, one user a line; a password may be an argon2 hash",
    )
    group.add_argument(
        "--auth-admin", action="append", default=[], metavar="USER", help="administrator instead"
    )
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="further host name of this server, e.g. behind a proxy (repeatable)",
    )
    group.add_argument("--tls-cert", "--tls-certfile", type=Path, help="certificate (PEM)")
    group.add_argument("--tls-key", "--tls-keyfile", type=Path, help="its private key (PEM)")
    group.add_argument("--share", action="store_true", help="not without --auth (see README)")
    group.add_argument("--api", action="store_true", help="the API is always there")


def _credentials(given: argparse.Namespace) -> tuple[Credential, ...]:
    """The users. Raises: ValueError, OSError: with the reason."""
    pieces = [piece for text in given.auth for piece in text.split(",")]
    for file in given.auth_file:
        for line in file.read_text(encoding="utf-8").splitlines():
            whole = "$argon2" in line  # a hash holds commas itself
            pieces += [line] if whole else line.split(",")
    found: dict[str, Credential] = {}
    for piece in pieces:
        if not piece.strip():
            continue
        name, colon, password = piece.strip().partition(":")
        if not colon or not name or not password:
            raise ValueError("users are given as USER:PASSWORD")
        found[name] = Credential(name, password)
    admins = set(given.auth_admin) or set(list(found)[:1])
    unknown = sorted(admins - set(found))
    if unknown:
        raise ValueError(f"--auth-admin names {unknown[0]}, who is no user")
    return tuple(replace(one, is_admin=one.name in admins) for one in found.values())


def _add_file_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data-dir", type=Path, help="folder for models, outputs and settings (default: this one)"
    )
    group.add_argument(
        "--models-dir", type=Path, help="folder of the models (default: models in the data folder)"
    )
    group.add_argument(
        "--ckpt-dir",
        type=Path,
        action="append",
        default=[],
        help="further folder with checkpoints (repeatable)",
    )
    for kind, names in MODEL_FLAGS.items():
        group.add_argument(
            *names,
            type=Path,
            action="append",
            default=[],
            dest=f"{kind}_dirs",
            metavar="FOLDER",
            help=f"further folder with models of the kind {kind} (repeatable)",
        )
    group.add_argument("--ckpt", help="checkpoint to start with: a name or a file")
    group.add_argument("--vae-path", type=Path, help="VAE of every checkpoint: a file")
    group.add_argument(
        "--styles-file",
        action="append",
        default=[],
        help="further styles file (repeatable, wildcards allowed)",
    )


def _add_extension_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--safe-mode", action="store_true", help="load no extension")
    group.add_argument(
        "--disable-extension",
        metavar="ID",
        action="append",
        default=[],
        help="leave one out for this run (repeatable)",
    )


def _add_device_flags(group: argparse._ArgumentGroup) -> None:
    dtypes = ("auto", "float32", "bfloat16", "float16")
    group.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    group.add_argument("--dtype", choices=dtypes, default="auto", help="of the networks")
    group.add_argument("--vae-dtype", choices=dtypes, default="auto", help="of the VAE")
    group.add_argument(
        "--threads", type=_positive, help="CPU threads for the networks (default: all cores)"
    )


def _add_generate_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("--prompt", required=True)
    command.add_argument("--negative-prompt", default="")
    command.add_argument("--seed", type=int, default=-1)
    command.add_argument("--steps", type=int, default=20)
    command.add_argument("--cfg-scale", type=float, default=7.0)
    command.add_argument("--sampler", default="DPM++ 2M")
    command.add_argument("--schedule", default="Automatic")
    command.add_argument("--width", type=int, help="pixels (default: the checkpoint's own size)")
    command.add_argument("--height", type=int)
    command.add_argument("--out", type=Path, default=Path("picture.png"), help="file to write")


def _port(text: str) -> int:
    value = int(text)
    if not 0 < value < 65536:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def parse(arguments: Sequence[str]) -> Flags:
    """Parse a command line (without the program's name); prints a usage line and exits on a
    mistake.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    generate = None
    if given.command == "generate":
        names = (
            "prompt",
            "negative_prompt",
            "seed",
            "steps",
            "cfg_scale",
            "sampler",
            "schedule",
            "width",
            "height",
            "out",
        )
        generate = Generate(**{name: getattr(given, name) for name in names})
    host = given.server_name or ("0.0.0.0" if given.listen else "127.0.0.1")
    listen = host not in ("127.0.0.1", "localhost", "::1")
    try:
        auth = _credentials(given)
    except (ValueError, OSError) as error:
        parser.error(f"the users cannot be read: {error}")
    if generate is None:
        _check_safety(parser, given, listen=listen, has_users=bool(auth))
    return Flags(
        host=host,
        port=given.port,
        listen=listen,
        data_dir=given.data_dir,
        models_dir=given.models_dir,
        checkpoint_dir=tuple(given.ckpt_dir),
        model_dirs={kind: tuple(getattr(given, f"{kind}_dirs")) for kind in MODEL_FLAGS},
        checkpoint=given.ckpt,
        vae_path=given.vae_path,
        device=given.device,
        dtype=given.dtype,
        vae_dtype=given.vae_dtype,
        threads=given.threads,
        browser=not given.no_browser,
        theme=given.theme,
        styles_files=tuple(given.styles_file),
        max_batch_count=given.max_batch_count,
        insecure_no_auth=given.insecure_no_auth,
        api_server_stop=given.api_server_stop,
        auth=auth,
        allow_hosts=tuple(name.lower() for name in given.allow_host),
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        safe_mode=given.safe_mode,
        disabled_extensions=tuple(given.disable_extension),
        log_level=given.loglevel,
        generate=generate,
    )


def _check_safety(
    parser: argparse.ArgumentParser, given: argparse.Namespace, *, listen: bool, has_users: bool
) -> None:
    """Exit with a sentence where the command line would let strangers in."""
    if listen and not has_users and not given.insecure_no_auth:
        parser.error(
            "--listen lets everyone on the network use this computer and see its pictures: name "
            "users with --auth USER:PASSWORD, or add --insecure-no-auth if that is what you want"
        )
    if given.share:
        parser.error(
            "--share needs --auth USER:PASSWORD: it lets the whole internet in"
            if not has_users
            else "Easel opens no tunnel itself: use one of your own and name it with --allow-host"
        )
    if (given.tls_cert is None) != (given.tls_key is None):
        parser.error("--tls-cert and --tls-key belong together")
    for file in (given.tls_cert, given.tls_key):
        if file is not None and not file.is_file():
            parser.error(f"{file} is no file")
