from redis import Redis

from contract.connections import connect
from contract.keys import KeyLimits, add_key, revoke_key
from worker.key_names import MOST_NAMES, OTHER, KeyNames


def test_a_key_is_known_by_its_name_once_it_was_asked_for(connection: Redis) -> None:
    names, key = KeyNames(connection), add_key(connection, "team-a", KeyLimits()).key
    assert (names.label(""), names.label(key.id)) == ("", OTHER)
    names.learn(key.id)
    assert names.label(key.id) == "team-a"
    revoke_key(connection, "team-a")
    names.learn(key.id)
    assert names.label(key.id) == "team-a"


def test_a_key_that_is_gone_is_one_of_the_others(connection: Redis) -> None:
    names = KeyNames(connection)
    names.learn("0123456789ab")
    assert names.label("0123456789ab") == OTHER


def test_there_are_so_many_names_and_no_more(connection: Redis) -> None:
    names = KeyNames(connection)
    ids = [add_key(connection, f"team-{n}", KeyLimits()).key.id for n in range(MOST_NAMES + 3)]
    for key_id in ids:
        names.learn(key_id)
    labels = {names.label(key_id) for key_id in ids}
    assert len(labels) == MOST_NAMES + 1
    assert OTHER in labels


def test_without_redis_there_is_a_label_all_the_same() -> None:
    names = KeyNames(connect("redis://127.0.0.1:1", timeout_s=0.1))
    names.learn("0123456789ab")
    assert names.label("0123456789ab") == OTHER
