"""Users, their sessions and their API keys: one identity for page and API.

Users and passwords come from the command line (`--auth`); what this keeps in its file are argon2
hashes of passwords and SHA-256 hashes of session tokens and keys, which are long and random.
Nobody can read a secret out of it, and a key is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from webui.errors import InvalidRequest, StorageError

SESSION_SECONDS = 30 * 86400.0
MAX_SESSIONS_PER_USER = 50
MAX_KEYS_PER_USER = 50
MAX_LABEL_CHARACTERS = 100
MAX_PASSWORD_CHARACTERS = 1000
_REMEMBERED = 200
KEY_PREFIX = "easel_"


@dataclass(frozen=True, slots=True)
class Credential:
    """A user as the command line names them.

    Attributes:
        password: in plain text, or an argon2 hash (it begins with `$argon2`).
    """

    name: str
    password: str = field(repr=False)
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has proved who they are."""

    name: str
    is_admin: bool


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret.

    Attributes:
        hint: the secret's first characters.
        created: seconds since the epoch.
    """

    id: str
    label: str
    hint: str
    created: float


class Accounts:
    """All users of one Easel; thread-safe.

    Args:
        credentials: of the users; none: there are no passwords, everybody is the one local owner.
        file: JSON, readable by its owner alone; made when it is first needed.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        credentials: Sequence[Credential],
        file: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.RLock()
        self._checking = threading.Semaphore(2)  # argon2 takes 64 MiB each time
        self._hasher = PasswordHasher()
        self._salt = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, str] = OrderedDict()
        self._users = {one.name: User(one.name, one.is_admin) for one in credentials}
        self._stored = self._load() if credentials else {}
        if credentials:
            self._take_over(credentials)
            self._unknown_hash = self._hasher.hash(secrets.token_hex())

    @property
    def has_users(self) -> bool:
        """Whether there are passwords at all."""
        return bool(self._users)

    def user(self, name: str) -> User | None:
        """The user of that name."""
        return self._users.get(name)

    # Passwords.

    def check(self, name: str, password: str) -> User | None:
        """The user, if the password is theirs. Takes as long for names that do not exist."""
        if len(password) > MAX_PASSWORD_CHARACTERS:
            return None
        mark = hmac.digest(self._salt, f"{name}\0{password}".encode(), "sha256")
        with self._lock:
            if mark in self._remembered:
                self._remembered.move_to_end(mark)
                return self._users.get(self._remembered[mark])
            stored = self._stored.get("users", {}).get(name)
        with self._checking:
            is_right = self._verifies(stored or self._unknown_hash, password)
        user = self._users.get(name) if is_right and stored else None
        if user is not None:
            with self._lock:
                self._remembered[mark] = name
                while len(self._remembered) > _REMEMBERED:
                    self._remembered.popitem(last=False)
        return user

    def is_remembered(self, name: str, password: str) -> bool:
        """Whether `check` will answer at once, because it answered yes before."""
        mark = hmac.digest(self._salt, f"{name}\0{password}".encode(), "sha256")
        return mark in self._remembered

    # Sessions.

    def open_session(self, user: User) -> str:
        """A new session's token."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            sessions = self._live_sessions()
            own = [one for one in sessions if sessions[one]["user"] == user.name]
            for oldest in own[: max(0, len(own) - MAX_SESSIONS_PER_USER + 1)]:
                del sessions[oldest]
            sessions[_digest(token)] = {"user": user.name, "made": self._clock()}
            self._stored["sessions"] = sessions
            self._save()
        return token

    def session(self, token: str) -> User | None:
        """Whose session it is, while it lasts."""
        found = self._stored.get("sessions", {}).get(_digest(token))
        if found is None or found["made"] + SESSION_SECONDS < self._clock():
            return None
        return self._users.get(found["user"])

    def close_session(self, token: str) -> None:
        """End a session; nothing happens if there is none."""
        with self._lock:
            if self._stored.get("sessions", {}).pop(_digest(token), None) is not None:
                self._save()

    # API keys.

    def create_key(self, owner: str, label: str) -> tuple[ApiKey, str]:
        """A new key and its secret, which cannot be had again.

        Raises: InvalidRequest: too many keys, or a label that is too long.
        """
        if not 0 < len(label) <= MAX_LABEL_CHARACTERS:
            raise InvalidRequest(
                "label", f"Give the key a name of at most {MAX_LABEL_CHARACTERS} characters."
            )
        if owner not in self._users:
            raise InvalidRequest("owner", "API keys need users: start Easel with --auth.")
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(secrets.token_hex(8), label, secret[: len(KEY_PREFIX) + 4], self._clock())
        with self._lock:
            if len(self.keys(owner)) >= MAX_KEYS_PER_USER:
                raise InvalidRequest("label", "There are too many keys: delete one first.")
            self._stored.setdefault("keys", {})[_digest(secret)] = {
                "user": owner,
                "id": key.id,
                "label": label,
                "hint": key.hint,
                "made": key.created,
            }
            self._save()
        return key, secret

    def keys(self, owner: str) -> list[ApiKey]:
        """A user's keys, the oldest first."""
        with self._lock:
            rows = list(self._stored.get("keys", {}).values())
        return [
            ApiKey(row["id"], row["label"], row["hint"], row["made"])
            for row in rows
            if row["user"] == owner
        ]

    def delete_key(self, owner: str, key_id: str) -> bool:
        """Make a key void; False if the user has none of that id."""
        with self._lock:
            for digest, row in self._stored.get("keys", {}).items():
                if row["user"] == owner and row["id"] == key_id:
                    del self._stored["keys"][digest]
                    self._save()
                    return True
        return False

    def key(self, secret: str) -> User | None:
        """Whose key it is."""
        found = self._stored.get("keys", {}).get(_digest(secret))
        return self._users.get(found["user"]) if found else None

    # Inside.

    def _take_over(self, credentials: Sequence[Credential]) -> None:
        """Hash new passwords; who has another password than before loses sessions and keys."""
        known: dict[str, str] = self._stored.get("users", {})
        users: dict[str, str] = {}
        for one in credentials:
            stored = known.get(one.name)
            if one.password.startswith("$argon2"):
                is_same, hashed = stored == one.password, one.password
            else:
                is_same = stored is not None and self._verifies(stored, one.password)
                hashed = stored if stored and is_same else self._hasher.hash(one.password)
            users[one.name] = hashed
            if not is_same:
                self._forget(one.name)
        for name in set(known) - set(users):
            self._forget(name)
        self._stored["users"] = users
        self._save()

    def _forget(self, name: str) -> None:
        for kind in ("sessions", "keys"):
            rows = self._stored.get(kind, {})
            self._stored[kind] = {k: row for k, row in rows.items() if row["user"] != name}

    def _live_sessions(self) -> dict[str, Any]:
        now = self._clock()
        rows = self._stored.get("sessions", {})
        return {k: row for k, row in rows.items() if row["made"] + SESSION_SECONDS >= now}

    def _verifies(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def _load(self) -> dict[str, Any]:
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise StorageError(
                f"{self._file} cannot be read ({error}): repair or delete it; sessions and API "
                "keys are lost if it is deleted."
            ) from error
        return stored if isinstance(stored, dict) else {}

    def _save(self) -> None:
        temporary = self._file.with_suffix(".tmp")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                json.dump(self._stored, out)
            temporary.replace(self._file)
        except OSError as error:
            raise StorageError(f"{self._file.name} cannot be written: {error.strerror}.") from error


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
