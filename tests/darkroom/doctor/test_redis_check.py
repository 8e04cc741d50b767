"""A real Redis that is set up badly, in each way that matters."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from contract.connections import connect
from darkroom.doctor import redis_check
from darkroom.doctor.finding import Level
from tests.darkroom.doctor.conftest import Doctor
from tests.darkroom.redis_server import redis_server
from tests.waiting import until


@pytest.fixture(scope="module")
def bad_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    with redis_server("--appendonly", "yes", "--maxmemory", "1gb", folder=folder) as url:
        yield url


@pytest.fixture
def bad(bad_url: str) -> Iterator[Redis]:
    """A good one, to be spoiled; each test mends it again."""
    with closing(connect(bad_url, timeout_s=5.0)) as connection:
        yield connection


def test_a_good_one_is_all_right(doctor: Doctor, bad_url: str) -> None:
    report = doctor(REDIS_URL=bad_url)
    assert {level for level, _, _ in report.of("redis")} == {"ok"}
    for part in (
        "is the least",
        "evicts nothing",
        "AOF is on",
        "runs scripts",
        "round trip",
        "s ap",
    ):
        assert report.says("redis", "ok", part), part
    assert report.says("pictures", "ok", "put, read and deleted")
    assert report.says("disk", "ok", "GB free") or report.says("disk", "warn", "GB free")
    assert report.code == 0


def test_one_that_evicts(doctor: Doctor, bad: Redis, bad_url: str) -> None:
    bad.config_set("maxmemory-policy", "allkeys-lru")
    report = doctor(REDIS_URL=bad_url)
    bad.config_set("maxmemory-policy", "noeviction")
    assert report.says("redis", "fail", "maxmemory-policy is allkeys-lru")
    assert report.code == 1


def test_one_without_an_aof_or_a_bound(doctor: Doctor, redis_url: str) -> None:
    with redis_server() as url:
        report = doctor(REDIS_URL=url)
    assert report.says("redis", "fail", "The AOF is off")
    assert report.says("redis", "warn", "has no maxmemory")


def test_one_that_is_full_or_nearly(doctor: Doctor, bad: Redis, bad_url: str) -> None:
    used = int(bad.info("memory")["used_memory"])
    bad.config_set("maxmemory", int(used / 0.88))
    nearly = doctor(REDIS_URL=bad_url)
    bad.config_set("maxmemory", 1_000)
    full = doctor(REDIS_URL=bad_url)
    bad.config_set("maxmemory", "1gb")
    assert nearly.says("redis", "warn", "Redis holds 1 MB of")
    assert full.says("redis", "fail", "new work is about to be refused")
    assert full.says("redis", "fail", "Redis is full")
    assert full.says("pictures", "fail", "Pictures cannot be kept")


def test_a_replica(doctor: Doctor, bad: Redis, bad_url: str) -> None:
    bad.replicaof("127.0.0.1", "1")
    report = doctor(REDIS_URL=bad_url)
    bad.replicaof("NO", "ONE")
    assert report.says("redis", "fail", "read-only replica")


def test_one_whose_disk_fails(doctor: Doctor, tmp_path: Path) -> None:
    """Its snapshots do, and by its own default it refuses writes then."""
    folder = tmp_path / "data"
    folder.mkdir()
    with redis_server(folder=folder) as url, closing(connect(url, timeout_s=5.0)) as connection:
        connection.config_set("save", "3600 1")
        folder.rmdir()
        connection.bgsave()
        until(lambda: connection.info("persistence")["rdb_last_bgsave_status"] == "err")
        report = doctor(REDIS_URL=url)
    assert report.says("redis", "fail", "The last snapshot of Redis failed")
    assert report.says("redis", "fail", "Redis refuses writes, as it cannot keep them")
    assert report.says("disk", "ok", "where this process cannot look")


def test_a_user_who_may_not_do_much(doctor: Doctor, bad: Redis, bad_url: str) -> None:
    bad.execute_command("ACL", "SETUSER", "guest", "on", ">pw", "~*", "+ping", "+info", "+hello")
    report = doctor(REDIS_URL=bad_url.replace("://", "://guest:pw@"))
    bad.execute_command("ACL", "DELUSER", "guest")
    assert report.says("redis", "fail", "The user in REDIS_URL may not do")
    assert not any("pw@" in each["what"] for each in report.findings)


def test_a_cluster(doctor: Doctor, tmp_path: Path) -> None:
    with redis_server("--cluster-enabled", "yes", folder=tmp_path) as url:
        report = doctor(REDIS_URL=url)
    assert report.says("redis", "fail", "node of a Redis Cluster")


@pytest.mark.parametrize(
    "wrong", ["redis://127.0.0.1:1/0", "unix:///nowhere", "redis://a:secret@127.0.0.1:1"]
)
def test_one_that_is_not_there(doctor: Doctor, wrong: str) -> None:
    report = doctor(REDIS_URL=wrong)
    assert report.says("redis", "fail", "REDIS_URL: no Redis answers at")
    assert not any("secret" in each["what"] for each in report.findings)
    assert report.of("checkpoint")  # all else is looked at


def test_one_that_speaks_no_tls_or_has_no_such_database(doctor: Doctor, redis_url: str) -> None:
    report = doctor(REDIS_URL=redis_url.replace("redis://", "rediss://"))
    (remedy,) = [remedy for level, _, remedy in report.of("redis") if level == "fail"]
    assert "redis:// asks without TLS" in str(remedy)
    address, _, _ = redis_url.rpartition("/")
    report = doctor(REDIS_URL=f"{address}/9999")
    assert report.says("redis", "fail", "a database that Redis does not have")
    assert not report.of("pictures")


def test_clocks_that_are_apart(
    doctor: Doctor, bad_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    for late_s, level in ((5.0, "warn"), (90.0, "fail")):
        monkeypatch.setattr(redis_check.time, "time", lambda late_s=late_s: now() + late_s)
        report = doctor(REDIS_URL=bad_url)
        monkeypatch.undo()
        assert report.says("redis", level, f"{late_s:.2f} s apart")


@pytest.mark.parametrize(
    ("version", "level"), [("6.2.14", Level.FAIL), ("7.0.0", Level.OK), ("10.0.1", Level.OK)]
)
def test_the_least_version(connection: Redis, version: str, level: Level) -> None:
    found = list(redis_check._version({"redis_version": version}))
    assert [each.level for each in found] == [level]
    assert version in found[0].what
