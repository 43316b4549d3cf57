"""Options: one declaration, checked values, a file that survives bad content."""

import json
from pathlib import Path

import pytest

from webui.errors import InvalidRequest
from webui.settings import Settings, SettingsStore, changed, option_info, overridden, sections


def test_every_option_has_a_section_and_a_default_in_its_range() -> None:
    shown = {key for keys in sections().values() for key in keys}
    for key in Settings.model_fields:
        assert option_info(key).section
        assert (key in shown) == option_info(key).shown
    assert Settings.model_validate(Settings().model_dump()) == Settings()


@pytest.mark.parametrize(
    ("key", "value"),
    [("n_rows", 99), ("samples_format", "gif"), ("eta_ddim", "much"), ("no_such_key", 1)],
)
def test_bad_values_are_refused_with_the_key(key: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        changed(Settings(), {key: value})
    assert caught.value.field == key
    assert key in str(caught.value)


def test_requests_override_only_what_concerns_their_pictures() -> None:
    assert overridden(Settings(), {"eta_ddim": 0.5}).eta_ddim == 0.5
    with pytest.raises(InvalidRequest, match="cannot be overridden"):
        overridden(Settings(), {"sd_checkpoints_limit": 5})


def test_store_keeps_changes_and_unknown_keys(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"eta_ddim": 0.25, "some_extension": {"a": 1}, "n_rows": 1000}))
    store = SettingsStore(file)
    assert store.current.eta_ddim == 0.25
    assert store.current.n_rows == -1
    assert any("n_rows" in problem for problem in store.problems)
    seen: list[tuple[float, float]] = []
    store.subscribe(lambda old, new: seen.append((old.eta_ddim, new.eta_ddim)))
    store.update({"eta_ddim": 0.75})
    assert seen == [(0.25, 0.75)]
    written = json.loads(file.read_text())
    assert written == {"some_extension": {"a": 1}, "n_rows": 1000, "eta_ddim": 0.75}
    assert SettingsStore(file).current == store.current


def test_a_refused_change_changes_nothing(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "config.json")
    with pytest.raises(InvalidRequest):
        store.update({"eta_ddim": 0.5, "n_rows": 1000})
    assert store.current == Settings()
    assert not (tmp_path / "config.json").exists()


def test_a_broken_file_is_kept_aside(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("{ not json")
    store = SettingsStore(file)
    assert store.current == Settings()
    assert (tmp_path / "config.broken.json").read_text() == "{ not json"
    assert store.problems
