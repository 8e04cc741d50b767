import pytest
from pydantic import ValidationError
from redis import Redis

from contract import keys
from contract.errors import BadKey
from contract.keys import KEYS_KEY, ApiKey, KeyLimits, add_key, find_key, known_keys, revoke_key


def test_a_key_is_found_by_its_text_alone(connection: Redis) -> None:
    one, other = (add_key(connection, name, KeyLimits()) for name in ("one", "other"))
    known = known_keys(connection)
    assert find_key(known, one.text) == one.key
    swapped = one.text.replace(one.key.id, other.key.id)
    for text in ("", "_", "__", one.text[:-1], one.text + "x", swapped, one.key.id, "\udcff_a_b"):
        assert find_key(known, text) is None


def test_redis_never_holds_the_key_itself(connection: Redis) -> None:
    made = add_key(connection, "one", KeyLimits())
    secret = made.text.rpartition(f"{made.key.id}_")[2]
    assert len(secret) >= 43  # 256 bits
    assert not any(secret.encode() in value for value in connection.hvals(KEYS_KEY))


def test_a_text_is_compared_in_constant_time_whether_or_not_its_id_is_known(
    connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = add_key(connection, "one", KeyLimits())
    compared: list[tuple[str, str]] = []
    compare = keys.hmac.compare_digest

    def noted(found: str, kept: str) -> bool:
        compared.append((found, kept))
        return compare(found, kept)

    monkeypatch.setattr(keys.hmac, "compare_digest", noted)
    known = known_keys(connection)
    for text in (made.text, made.text + "x", "dk_000000000000_x", "anything"):
        find_key(known, text)
    assert [len(found) == len(kept) == 64 for found, kept in compared] == [True] * 4


def test_names_are_taken_once(connection: Redis) -> None:
    add_key(connection, "one", KeyLimits())
    with pytest.raises(BadKey):
        add_key(connection, "one", KeyLimits())
    assert len(known_keys(connection)) == 1


@pytest.mark.parametrize("by_name", [True, False])
def test_a_revoked_key_is_gone(connection: Redis, by_name: bool) -> None:
    kept, gone = (add_key(connection, name, KeyLimits()) for name in ("kept", "gone"))
    revoke_key(connection, gone.key.name if by_name else gone.key.id)
    assert list(known_keys(connection).values()) == [kept.key]
    with pytest.raises(BadKey):
        revoke_key(connection, "gone")


@pytest.mark.parametrize("name", ["", "a b", "a\n", "x" * 65])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        ApiKey(id="", name=name, digest="", created_at=0.0, limits=KeyLimits())
