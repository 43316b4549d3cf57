"""The Windows script does what the other does, step by step."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELL = (ROOT / "webui.sh").read_text(encoding="utf-8")
BATCH = (ROOT / "webui.bat").read_text(encoding="utf-8")


def python_steps(script: str) -> list[str]:
    """What a script hands to Python, in order, with forward slashes."""
    found = re.findall(r"tools[/\\]environment\.py|app\.py", script)
    return [step.replace("\\", "/") for step in found]


def test_both_run_the_same_programs_in_the_same_order() -> None:
    assert python_steps(SHELL) == ["tools/environment.py", "app.py"]
    assert python_steps(BATCH) == python_steps(SHELL)


def test_both_pass_all_flags_on() -> None:
    assert re.search(r'^exec \.venv/bin/python app\.py "\$@"$', SHELL, re.MULTILINE)
    assert re.search(r"^\.venv\\Scripts\\python\.exe app\.py %\*$", BATCH, re.MULTILINE)


def test_both_take_the_same_versions_of_python() -> None:
    check = re.compile(r"sys\.exit\(not (\(.+?\) <= sys\.version_info\[:2\] <= \(.+?\))\)")
    (shell,), (batch,) = check.findall(SHELL), check.findall(BATCH)
    assert shell == batch
    versions = re.compile(r"(?:python|py -)(3\.\d+)")
    assert re.findall(versions, SHELL.partition("do")[0]) == re.findall(
        r"py -(3\.\d+)", BATCH.partition(" do ")[0]
    )


def test_both_stop_with_the_same_sentence_where_python_is_missing() -> None:
    (shell,) = re.findall(r'echo "(.+)" >&2', SHELL)
    (batch,) = re.findall(r"echo (.+) 1>&2", BATCH)
    assert batch.replace("^", "") == shell


def test_both_stop_where_the_environment_cannot_be_made_and_hand_on_the_exit_code() -> None:
    assert "set -euo pipefail" in SHELL
    assert re.search(r"environment\.py \|\| exit /b 1$", BATCH, re.MULTILINE)
    assert BATCH.rstrip().endswith("exit /b %ERRORLEVEL%")
