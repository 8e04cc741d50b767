"""The settings of webhooks, as the environment spells them."""

import base64

import pytest

from contract.errors import BadSetting
from contract.settings import WebhookSettings, load_settings

OLD, NEW = (f"whsec_{base64.b64encode(key * 24).decode()}" for key in (b"a", b"b"))


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> WebhookSettings:
    for name, value in environment.items():
        monkeypatch.setenv(f"DARKROOM_{name.upper()}", value)
    return load_settings(WebhookSettings)


def test_they_are_read_from_single_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        webhook_secret=f"{NEW} {OLD}",
        webhook_hosts="Hooks.Example.com, *.example.org",
        webhook_networks="10.1.0.0/16,fd00::/8",
        public_url="https://pictures.example.com/",
    )
    assert settings.signing_keys == (b"b" * 24, b"a" * 24)
    assert settings.webhook_hosts == ("hooks.example.com", "*.example.org")
    assert [str(network) for network in settings.webhook_networks] == ["10.1.0.0/16", "fd00::/8"]
    assert settings.public_url == "https://pictures.example.com"
    assert OLD not in repr(settings)


def test_what_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = dict.fromkeys(("webhook_secret", "webhook_hosts", "webhook_networks", "public_url"), "")
    assert load(monkeypatch, **empty) == WebhookSettings()
    assert not WebhookSettings().signing_keys


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook_secret", "secret"),
        ("webhook_secret", OLD.removeprefix("whsec_")),
        ("webhook_secret", "whsec_" + base64.b64encode(b"short").decode()),
        ("webhook_secret", "whsec_????"),
        ("webhook_secret", f"{OLD} whsec_"),
        ("webhook_hosts", "https://example.com"),
        ("webhook_hosts", "example.*"),
        ("webhook_hosts", "example.com:80"),
        ("webhook_networks", "10.0.0.0/33"),
        ("webhook_networks", "10.0.0.1/8"),
        ("webhook_networks", "example.com"),
        ("public_url", "pictures.example.com"),
        ("public_url", "ftp://pictures.example.com"),
    ],
)
def test_a_wrong_one_stops_the_start_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(BadSetting, match=f"^DARKROOM_{name.upper()}: ") as caught:
        load(monkeypatch, **{name: value})
    assert "????" not in str(caught.value)
