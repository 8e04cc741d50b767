from pathlib import Path

import pytest

from contract.connections import connect
from contract.errors import BadSetting
from darkroom.embedded_redis import embedded_redis, free_url


def test_what_it_holds_outlives_it(tmp_path: Path) -> None:
    for expected in (None, b"kept"):
        url = free_url()
        with embedded_redis(url, tmp_path / "redis"), connect(url, timeout_s=3.0) as connection:
            assert connection.getset("key", "kept") == expected


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(BadSetting, match="cannot be written to: Not a directory"),
        embedded_redis(free_url(), tmp_path / "file" / "redis"),
    ):
        pass


def test_a_server_that_does_not_start_says_where_its_log_is(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").touch()
    with (
        pytest.raises(BadSetting, match=r"does not start; its log is .*valkey\.log"),
        embedded_redis(free_url(), tmp_path),
    ):
        pass
