"""One import of the network libraries at a time: their lazy modules do not bear two threads."""

from __future__ import annotations

import threading

IMPORTING = threading.RLock()
"""Hold it around every import from transformers and diffusers."""
