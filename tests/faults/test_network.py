"""One worker is cut off, while Redis and the other workers live."""

from urllib.parse import urlsplit

from redis import Redis

from contract.events import EventKind, read_events
from contract.job import JobState
from tests.address import Address, free_port
from tests.faults.conftest import Ask, Start, holder, ready
from tests.faults.fleet import jobs_ended
from tests.faults.history import offences
from tests.faults.hooked_worker import SHORT_LEASES
from tests.waiting import job_in, until


def test_its_job_goes_on_elsewhere_and_it_drops_it_when_it_is_back(
    start: Start, ask: Ask, connection: Redis, redis_url: str
) -> None:
    port = urlsplit(redis_url).port
    assert port is not None
    with Address(port) as address:
        start("one", REDIS_URL=address.url, **{SHORT_LEASES: "1"})
        card = ready(connection, "one")
        job_id = ask(images=4, steps=150, width=96, height=96)
        assert holder(connection, job_id) == "one"
        start("two", **{SHORT_LEASES: "1"})
        ready(connection, "two")
        address.lead_to(free_port())  # where nobody is
        address.hang_up()
        until(lambda: holder(connection, job_id) == "two")
        address.lead_to(port)
        until(lambda: jobs_ended(card))
        assert job_in(connection, job_id).state is JobState.SUCCEEDED
    events = read_events(connection, job_id)
    assert offences(events) == []
    assert [each.fields.get("worker", "").partition(".")[0] for each in events] == [
        "", "one", "", "two", "",
    ]  # fmt: skip
    assert [each.kind for each in events].count(EventKind.SUCCEEDED) == 1
