import time

from redis import Redis

from contract.workers import (
    MODEL_TTL_S,
    WORKER_TTL_S,
    announce,
    known_models,
    largest_side,
    live_workers,
    withdraw,
)
from tests.contract.samples import model_card, worker_card


def test_announced_workers_are_listed_by_name(connection: Redis) -> None:
    for name in ("b", "a"):
        announce(connection, worker_card(name), model_card())
    assert [worker.name for worker in live_workers(connection)] == ["a", "b"]


def test_announcement_lapses_by_itself(connection: Redis) -> None:
    announce(connection, worker_card(), model_card())
    (key,) = connection.keys("darkroom:worker:*")
    for each in (key, "darkroom:workers"):
        assert 0 < connection.ttl(each) <= WORKER_TTL_S
    connection.delete(key)
    assert live_workers(connection) == []
    assert connection.smembers("darkroom:workers") == set()


def test_a_model_outlives_its_worker(connection: Redis) -> None:
    announce(connection, worker_card(), model_card())
    withdraw(connection, worker_card())
    assert live_workers(connection) == []
    assert list(known_models(connection)) == ["tiny"]


def test_a_model_not_seen_for_long_is_forgotten(connection: Redis) -> None:
    announce(connection, worker_card(), model_card(seen_at=time.time() - MODEL_TTL_S - 1))
    assert known_models(connection) == {}
    assert connection.hlen("darkroom:models") == 0


def test_a_successor_of_the_same_name_is_not_withdrawn_with_its_predecessor(
    connection: Redis,
) -> None:
    announce(connection, worker_card(pid=1), model_card())
    announce(connection, worker_card(pid=2), model_card())
    withdraw(connection, worker_card(pid=1))
    assert [worker.pid for worker in live_workers(connection)] == [2]


def test_cards_come_back_as_they_were(connection: Redis) -> None:
    card, model = worker_card(), model_card()
    announce(connection, card, model)
    assert live_workers(connection) == [card]
    assert known_models(connection) == {model.id: model}


def test_the_largest_worker_says_how_large_the_pictures_of_its_model_may_be() -> None:
    model = model_card(max_side=64)
    small, large = worker_card("a", max_side=64), worker_card("b", max_side=128)
    assert largest_side(model, [large, small]) == 128
    assert largest_side(model, [small, worker_card("c", "other", max_side=512)]) == 64
    assert largest_side(model, [worker_card("of old")]) == 64
    assert largest_side(model, []) == 64
