"""Settings that stand in files among a container's secrets."""

from pathlib import Path

import pytest

from contract import settings
from contract.errors import BadSetting
from contract.settings import WebhookSettings, load_settings

SECRET = "whsec_" + 32 * "A"


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "SECRETS", tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    return tmp_path


def test_a_file_of_the_settings_name_sets_it(secrets: Path) -> None:
    (secrets / "redis_url").write_text("redis://:word@redis:6379/0\n")
    (secrets / "darkroom_webhook_secret").write_text(SECRET)
    loaded = load_settings(WebhookSettings)
    assert loaded.redis_url == "redis://:word@redis:6379/0"
    assert loaded.webhook_secret.get_secret_value() == SECRET


def test_the_environment_wins_over_a_file(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets / "redis_url").write_text("redis://redis/0")
    monkeypatch.setenv("REDIS_URL", "redis://other/0")
    assert load_settings(WebhookSettings).redis_url == "redis://other/0"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "^REDIS_URL: "), (b"redis", "^REDIS_URL: "), (b"\xff", "cannot be read")],
)
def test_a_file_that_is_wrong_stops_the_start(
    secrets: Path, content: bytes, complaint: str
) -> None:
    (secrets / "redis_url").write_bytes(content)
    with pytest.raises(BadSetting, match=complaint):
        load_settings(WebhookSettings)
