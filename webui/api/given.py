"""The picture fields of bodies, as files."""

from __future__ import annotations

from collections.abc import Callable

from webui.api.fetch import Fetcher, is_address
from webui.errors import BadImage
from webui.images.codec import bytes_of_base64
from webui.settings import Settings


def reader(settings: Settings) -> Callable[[str], bytes]:
    """What turns a picture field's text into a file: base64, a data URL or an address.

    The returned function raises BadImage.
    """
    fetch = Fetcher(allow_local=not settings.api_forbid_local_requests)

    def read(text: str) -> bytes:
        if not is_address(text):
            return bytes_of_base64(text)
        if not settings.api_enable_requests:
            raise BadImage("Pictures are not fetched from addresses here: send the picture.")
        return fetch(text)

    return read
