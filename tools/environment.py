"""Make .venv and install what Easel needs; takes milliseconds when all is there already.

Runs on the system's Python, standard library alone: ``python tools/environment.py [--dev]``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST, NEWEST = (3, 11), (3, 13)


def venv_python() -> Path:
    """The interpreter inside .venv."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(files: list[Path]) -> str:
    """Changes when a requirements file or the Python version does."""
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def make_venv() -> None:
    """Create .venv, or make it anew where its interpreter is gone.

    Raises: SystemExit: with a sentence, where Python lacks the venv module's parts.
    """
    if venv_python().exists():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    print("Easel: making .venv ...", flush=True)
    try:
        venv.create(VENV, with_pip=True)
    except (subprocess.CalledProcessError, OSError) as error:
        shutil.rmtree(VENV, ignore_errors=True)
        raise SystemExit(
            f"Easel: .venv could not be made ({error}). "
            "On Debian or Ubuntu 'sudo apt install python3-venv' helps."
        ) from error


def install(requirements: Path) -> None:
    """Install a requirements file with visible progress.

    Raises: SystemExit: with a sentence, where pip fails.
    """
    print(f"Easel: installing {requirements.name} (once; several minutes) ...", flush=True)
    command = [str(venv_python()), "-m", "pip", "install", "--disable-pip-version-check"]
    done = subprocess.run([*command, "-r", str(requirements)], cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SystemExit(
            f"Easel: pip could not install {requirements.name} (see above). "
            "Check the network connection and the free space on the disk, then start again."
        )


def main() -> None:
    """Bring .venv up to date."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dev", action="store_true", help="also what developers need")
    dev = parser.parse_args().dev
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise SystemExit(
            f"Easel: Python {sys.version.split()[0]} is not supported: install Python 3.11."
        )
    files = [ROOT / "requirements.txt"] + ([ROOT / "requirements-dev.txt"] if dev else [])
    stamp = VENV / f"easel-{'dev' if dev else 'user'}.stamp"
    wanted = fingerprint(files)
    if venv_python().exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    make_venv()
    install(files[-1])
    stamp.write_text(wanted)
    if dev:
        (VENV / "easel-user.stamp").write_text(fingerprint(files[:1]))


if __name__ == "__main__":
    main()
