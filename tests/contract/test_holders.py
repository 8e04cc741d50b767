"""A picture is deleted with the last job that has it, whatever comes at the same moment."""

import threading

from redis import Redis

from contract.holders import BARRED_S, drop, hold, hold_soon, note, release, unbar

TTL_S = 60


def held_by(connection: Redis, digest: str, *job_ids: str) -> None:
    with connection.pipeline() as pipeline:
        for job_id in job_ids:
            note(pipeline, [digest], job_id, TTL_S)
        pipeline.execute()


def test_the_last_one_is_told_to_delete(connection: Redis) -> None:
    held_by(connection, "a", "1", "2")
    held_by(connection, "b", "1")
    assert release(connection, ["a", "b"], "1", "x") == ["b"]
    assert release(connection, ["a"], "2", "x") == ["a"]


def test_a_worker_that_is_about_to_have_it_keeps_it(connection: Redis) -> None:
    held_by(connection, "a", "1")
    assert hold(connection, ["a"], "2", TTL_S)
    assert release(connection, ["a"], "1", "x") == []
    drop(connection, ["a"], "2")
    assert release(connection, ["a"], "1", "x") == ["a"]


def test_nobody_gets_a_hold_while_it_is_being_deleted(connection: Redis) -> None:
    held_by(connection, "a", "1")
    assert release(connection, ["a"], "1", "x") == ["a"]
    assert release(connection, ["a"], "1", "y") == ["a"]
    assert not hold(connection, ["b", "a"], "2", TTL_S)
    waiting = threading.Thread(target=hold_soon, args=(connection, "a", "2", TTL_S))
    waiting.start()
    unbar(connection, ["a"], "y")
    assert not hold(connection, ["a"], "2", TTL_S)  # the other one is still at it
    unbar(connection, ["a"], "x")
    waiting.join(10)
    assert not waiting.is_alive()
    assert release(connection, ["a"], "1", "x") == []


def test_all_of_it_expires(connection: Redis) -> None:
    held_by(connection, "a", "1")
    hold(connection, ["a"], "2", 2 * TTL_S)
    hold(connection, ["a"], "3", TTL_S)  # a later one never makes it shorter
    release(connection, ["b"], "1", "x")
    assert TTL_S < connection.ttl("darkroom:holders:a") <= 2 * TTL_S
    assert 0 < connection.ttl("darkroom:barred:b") <= BARRED_S
