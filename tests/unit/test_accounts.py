from __future__ import annotations

from pathlib import Path

import pytest

from webui.accounts import SESSION_SECONDS, Accounts, Credential
from webui.api.throttle import MAX_WAIT_SECONDS, Throttle
from webui.flags import parse


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_sessions_and_keys_outlive_a_restart_but_not_a_new_password(tmp_path: Path) -> None:
    file, clock = tmp_path / "accounts.json", Clock()
    first = Accounts([Credential("ann", "one")], file, clock)
    user = first.check("ann", "one")
    assert user is not None and first.check("ann", "two") is None
    token, (_, secret) = first.open_session(user), first.create_key("ann", "x")
    again = Accounts([Credential("ann", "one")], file, clock)
    assert (again.session(token), again.key(secret)) == (user, user)
    clock.now += SESSION_SECONDS + 1
    assert again.session(token) is None
    changed = Accounts([Credential("ann", "two")], file, clock)
    assert changed.key(secret) is None


def test_a_user_who_is_gone_has_nothing_left(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    both = Accounts([Credential("ann", "one"), Credential("bob", "two")], file)
    _, secret = both.create_key("bob", "x")
    Accounts([Credential("ann", "one")], file)
    back = Accounts([Credential("ann", "one"), Credential("bob", "two")], file)
    assert back.key(secret) is None


def test_waits_grow_and_end(tmp_path: Path) -> None:
    del tmp_path
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(5):
        assert throttle.wait_seconds("1.2.3.4", "ann") == 0
        throttle.failed("1.2.3.4", "ann")
    assert throttle.wait_seconds("1.2.3.4", "ann") == 1
    assert throttle.wait_seconds("1.2.3.4", "bob") == 0
    assert throttle.wait_seconds("5.6.7.8", "ann") == 0
    for _ in range(30):
        throttle.failed("1.2.3.4", "ann")
    assert throttle.wait_seconds("1.2.3.4", "ann") == MAX_WAIT_SECONDS
    clock.now += MAX_WAIT_SECONDS
    assert throttle.wait_seconds("1.2.3.4", "ann") == 0


def test_users_come_from_flags_and_files(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_text("cy:three,di:four\n\neve:$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA\n")
    flags = parse(["--auth", "ann:o:ne,bob:two", "--auth-file", str(file), "--listen"])
    found = [(one.name, one.password[:7], one.is_admin) for one in flags.auth]
    assert found == [
        ("ann", "o:ne", True),
        ("bob", "two", False),
        ("cy", "three", False),
        ("di", "four", False),
        ("eve", "$argon2", False),
    ]
    assert [one.is_admin for one in parse(["--api-auth=a:b,c:d", "--auth-admin=c"]).auth] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--listen"], "--insecure-no-auth"),
        (["--share"], "--share needs --auth"),
        (["--auth", "ann"], "USER:PASSWORD"),
        (["--auth", "ann:"], "USER:PASSWORD"),
        (["--auth=a:b", "--auth-admin=c"], "who is no user"),
        (["--auth-file=/nosuch"], "cannot be read"),
        (["--tls-cert=x.pem"], "belong together"),
        (["--tls-cert=/nosuch", "--tls-key=/nosuch"], "is no file"),
    ],
)
def test_unsafe_command_lines_are_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)
    assert sentence in capsys.readouterr().err
