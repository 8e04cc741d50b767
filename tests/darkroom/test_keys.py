"""`darkroom keys`, on a real Redis."""

import pytest
from redis import Redis

from contract.keys import find_key, known_keys
from darkroom.cli import main


@pytest.fixture(autouse=True)
def _redis(redis_url: str, connection: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)


def refused(*arguments: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["keys", *arguments])
    assert end.value.code == 2


def test_a_key_is_shown_once_and_then_listed_by_its_limits(
    connection: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["keys", "add", "team-a", "--per-minute", "60", "--priority", "low", "--weight", "3"])
    text = capsys.readouterr().out.strip()
    found = find_key(known_keys(connection), text)
    assert found is not None
    assert (found.limits.per_minute, found.limits.priority, found.limits.weight) == (60, "low", 3)
    main(["keys", "list"])
    shown = capsys.readouterr().out
    assert [word in shown for word in ("team-a", found.id, "60", "low")] == [True] * 4
    assert text not in shown
    assert found.digest not in shown
    main(["keys", "revoke", "team-a"])
    assert known_keys(connection) == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "a b"),
        ("add", "a", "--per-minute", "0"),
        ("add", "a", "--priority", "urgent"),
        ("add", "a", "--max-steps", "151"),
        ("revoke", "nobody"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    connection: Redis, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    refused(*arguments)
    assert capsys.readouterr().err.count("\n") == 1
    assert known_keys(connection) == {}


def test_without_redis_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    refused("list")
    assert "REDIS_URL" in capsys.readouterr().err
