"""Every error that Easel raises on purpose; each message is a sentence that tells the user what to
do.

::

    WebUIError
    ├── InvalidRequest(field, reason)   the request cannot be carried out as it stands
    ├── ModelNotFound                   a name that no file answers to
    ├── UnsupportedModel                a file that is broken, hostile or of an unknown kind
    ├── BadImage                        a picture that cannot be read, or is too large
    ├── BadOutput                       the networks answered with numbers that are no picture (NaN)
    ├── OutOfMemory                     the device's memory does not suffice
    ├── StorageError                    a file could not be written (disk full, no permission)
    ├── QueueFull                       too many jobs wait already
    ├── JobNotFound                     no such job, or not the asker's
    └── ExtensionError(extension_id)    an extension failed and asked to abort the job
    JobStopped
    ├── Interrupted                     the user stopped the job
    └── Skipped                         the user skipped the batch
"""

from __future__ import annotations


class WebUIError(Exception):
    """Something that the user can be told in a sentence."""


class InvalidRequest(WebUIError):
    """A field of a request that cannot be honoured.

    Args:
        field: name of the request's field, e.g. ``"width"``.
        reason: a sentence for the user.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class ModelNotFound(WebUIError):
    """A model name that no file answers to."""


class UnsupportedModel(WebUIError):
    """A model file that is broken, unsafe, or of a kind that Easel does not know."""


class BadImage(WebUIError):
    """A picture that cannot be decoded, or that exceeds the limits."""


class BadOutput(WebUIError):
    """The networks produced NaN or infinite values."""


class OutOfMemory(WebUIError):
    """The device's memory does not suffice for the request."""


class StorageError(WebUIError):
    """A file could not be written."""


class QueueFull(WebUIError):
    """The queue holds as many jobs as it may."""


class JobNotFound(WebUIError):
    """A job that does not exist, was forgotten, or belongs to somebody else."""


class ExtensionError(WebUIError):
    """An extension failed in a place where going on would give a wrong picture.

    Args:
        extension_id: the failing extension.
        reason: a sentence for the user.
    """

    def __init__(self, extension_id: str, reason: str) -> None:
        super().__init__(f"{extension_id}: {reason}")
        self.extension_id = extension_id


class JobStopped(Exception):
    """The user asked to stop; not an error."""


class Interrupted(JobStopped):
    """Stop the whole job."""


class Skipped(JobStopped):
    """Give up the current batch and go on with the next."""
