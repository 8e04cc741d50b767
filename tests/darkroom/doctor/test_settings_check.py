"""Settings that are wrong, nobody's, or open to all."""

from pathlib import Path

import pytest

from tests.courier.samples import SECRETS
from tests.darkroom.doctor.conftest import Doctor


def test_each_setting_is_shown_with_where_it_comes_from(doctor: Doctor) -> None:
    report = doctor("--part", "api", DARKROOM_PORT="8123")
    assert report.says("settings", "ok", "DARKROOM_PORT is 8123, by the environment.")
    assert report.says("settings", "ok", "DARKROOM_HOST is 127.0.0.1, by default.")
    assert report.says("settings", "ok", "DARKROOM_KEYS is not set, by default.")


def test_secrets_are_not_shown(doctor: Doctor) -> None:
    report = doctor(
        DARKROOM_WEBHOOK_SECRET=SECRETS[0],
        DARKROOM_KEY="dk_secret",
        DARKROOM_PICTURES="redis://:secret@127.0.0.1:1/0",
    )
    report.findings.extend(doctor(REDIS_URL="redis://127.0.0.1:1?password=secret").findings)
    report.findings.extend(doctor(REDIS_URL="redis://:a/secret@127.0.0.1:1").findings)
    said = str(report.findings)
    assert SECRETS[0] not in said
    assert "secret@" not in said
    assert "=secret" not in said
    assert "dk_secret" not in said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DARKROOM_PORT", "x", "DARKROOM_PORT: must be a valid integer"),
        ("DARKROOM_WEBHOOK_SECRET", "abc", "DARKROOM_WEBHOOK_SECRET: must be whsec_"),
        ("REDIS_URL", "redis://127.0.0.1:port/0", "REDIS_URL: must be as in"),
        ("DARKROOM_LOG_FORMAT", "xml", "DARKROOM_LOG_FORMAT: must be 'human' or 'json'"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER: zipkin is not there."),
        ("DARKROOM_HOST", "0.0.0.0", "DARKROOM_KEYS: the API would listen on 0.0.0.0"),
    ],
)
def test_a_wrong_setting_is_named_once_and_the_rest_looked_at(
    doctor: Doctor, name: str, value: str, said: str
) -> None:
    report = doctor(**{name: value}, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert report.says("settings", "fail", said)
    assert sum(said in what for _, what, _ in report.of("settings")) == 1
    assert report.of("checkpoint")
    assert report.code == 1


def test_a_name_that_is_no_setting_is_a_typing_error(doctor: Doctor) -> None:
    report = doctor(DARKROOM_CHEKPOINT="x", DARKROOM_ZZZZZZ="x")
    found = {what: remedy for level, what, remedy in report.of("settings") if level == "warn"}
    assert [remedy for what, remedy in found.items() if "CHEKPOINT" in what] == [
        "Is DARKROOM_CHECKPOINT meant? Else unset it: see the table of settings in README.md."
    ]
    assert any("ZZZZZZ" in what for what in found)
    assert not report.says("settings", "fail", "")


def test_what_stands_among_the_secrets(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contract.settings.SECRETS", tmp_path)
    (tmp_path / "darkroom_webhook_secret").write_text(SECRETS[0])
    (tmp_path / "darkroom_webhook_secert").touch()
    (tmp_path / "redis.conf").touch()
    report = doctor("--part", "webhooks")
    assert report.says("settings", "ok", "DARKROOM_WEBHOOK_SECRET is ****, by a file among")
    assert report.says("settings", "warn", "DARKROOM_WEBHOOK_SECERT is no setting")
    assert sum(level == "warn" for level, _, _ in report.of("settings")) == 1
    (tmp_path / "darkroom_webhook_secret").write_bytes(b"\xff")
    report = doctor("--part", "webhooks")
    assert report.says("settings", "fail", "a file there cannot be read, so let the user")


def test_a_wrong_setting_is_shown_as_that(doctor: Doctor) -> None:
    report = doctor("--part", "api", DARKROOM_PORT="x", DARKROOM_REVISION="")
    found = [each for each in report.of("settings") if "DARKROOM_PORT" in each[1]]
    ((level, what, _),) = found
    assert (level, what.endswith("; it is x, by the environment.")) == ("fail", True)
    assert report.says("settings", "ok", "DARKROOM_REVISION is empty, by the environment.")


def test_an_api_that_is_open_to_all(doctor: Doctor) -> None:
    report = doctor("--part", "api", DARKROOM_HOST="0.0.0.0", DARKROOM_KEYS="off")
    assert report.says("settings", "warn", "whoever reaches it may ask for anything")
    report = doctor("--part", "api", DARKROOM_KEYS="required")
    assert report.says("fleet", "warn", "there are no keys: nobody can ask")


def test_webhooks_want_a_secret_and_somebody_who_delivers_them(doctor: Doctor) -> None:
    assert doctor("--part", "webhooks").says("settings", "fail", "DARKROOM_WEBHOOK_SECRET is not")
    report = doctor("--part", "api", DARKROOM_WEBHOOK_SECRET=SECRETS[0])
    assert report.says("fleet", "warn", "nothing delivers them")
    assert report.says("settings", "warn", "the links in webhooks are without a host")


def test_a_store_that_cannot_be_used(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    report = doctor(DARKROOM_PICTURES=f"file://{tmp_path}/file/pictures")
    assert report.says("pictures", "fail", "no folder")
    report = doctor(DARKROOM_PICTURES="redis://127.0.0.1:1/0")
    assert report.says("pictures", "fail", "redis://127.0.0.1:1/0 cannot be used")
    report = doctor(DARKROOM_PICTURES=f"file://{tmp_path}/pictures")
    assert report.says("pictures", "ok", "put, read and deleted")
    assert report.says("disk", "ok", "GB free") or report.says("disk", "warn", "GB free")
    assert not [each for each in (tmp_path / "pictures").rglob("*") if each.is_file()]
