import pytest

from contract.errors import SamplerRefused
from tests.checkpoints import scheduler_config
from worker.tables import TableCache


def test_a_table_is_read_once_and_remembered() -> None:
    tables = TableCache(scheduler_config())
    assert tables.known("euler", 8) is None
    built = tables.build("euler", 8)
    assert tables.known("euler", 8) is built
    assert (tables.hits, tables.misses) == (1, 1)


def test_the_table_that_was_longest_unused_makes_room() -> None:
    tables = TableCache(scheduler_config(), capacity=2)
    tables.build("euler", 4)
    tables.build("euler", 5)
    tables.known("euler", 4)
    tables.build("euler", 6)
    assert tables.known("euler", 5) is None
    assert tables.known("euler", 4) is not None


def test_a_refusal_is_not_remembered_as_a_table() -> None:
    tables = TableCache(scheduler_config())
    with pytest.raises(SamplerRefused):
        tables.build("lcm", 99)
    assert tables.known("lcm", 99) is None
