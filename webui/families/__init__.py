"""Model families: what differs between kinds of checkpoints, one file each."""

from __future__ import annotations

from webui.errors import UnsupportedModel
from webui.families.base import Family, Header
from webui.families.others import describe
from webui.families.sd1 import SD1
from webui.families.sd2 import SD2
from webui.families.sdxl import SDXL, SDXLRefiner

FAMILIES: tuple[Family, ...] = (SDXL(), SDXLRefiner(), SD2(), SD1())
"""In the order in which detection asks them."""


def detect(file_name: str, header: Header) -> Family:
    """Return the family of a file.

    Raises:
        UnsupportedModel: if none claims it, with a sentence on what the file is instead.
    """
    for family in FAMILIES:
        if family.detect(header):
            return family
    raise UnsupportedModel(f"{file_name} {describe(header)}")
