from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from rq import Queue

import darkroom
from contract.claims import take
from contract.endings import commit
from contract.pictures.redis_store import RedisStore
from darkroom import AsyncClient, Retries
from tests.address import Address
from tests.app.conftest import PNG, develop
from tests.contract.samples import TTL_S, job_result
from tests.darkroom.client.conftest import SOON, url_of
from tests.darkroom.conftest import Api
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_pictures_are_made_side_by_side(api: Api, jobs: Queue, tmp_path: Path) -> None:
    async with AsyncClient(api.url, retries=SOON) as client:

        async def make(name: str) -> None:
            await client.save(await client.generate(name), tmp_path / name)

        async with anyio.create_task_group() as group:
            for name in ("a.png", "b.png"):
                group.start_soon(make, name)
            await to_thread.run_sync(until, lambda: jobs.count == 2)
            for _ in range(2):
                await to_thread.run_sync(develop, jobs)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [PNG, PNG]
        assert [job.state async for job in client.jobs()] == ["succeeded", "succeeded"]


async def test_a_call_that_gets_no_answer_is_sent_again_and_makes_one_job(
    line: Address, jobs: Queue
) -> None:
    line.loses_answers = True
    made: list[darkroom.Job] = []
    async with AsyncClient(url_of(line), retries=SOON) as client:

        async def make() -> None:
            made.append(await client.generate("a"))

        async with anyio.create_task_group() as group:
            group.start_soon(make)
            await to_thread.run_sync(until, lambda: jobs.count == 1)
            line.loses_answers = False
    assert [job.id for job in made] == jobs.job_ids


async def test_events_go_on_where_the_line_broke(line: Address, jobs: Queue) -> None:
    async with AsyncClient(url_of(line), retries=SOON) as client:
        job = await client.generate("a")
        held = take(jobs, "gpu-1")
        assert held is not None
        told = []
        async for event in client.events(job):
            told.append(event)
            line.hang_up()
            if isinstance(event, darkroom.Started):
                commit(held, job_result(RedisStore(jobs.connection, TTL_S).put(PNG)))
    assert [type(event).__name__ for event in told] == ["Queued", "Started", "Ended"]
    assert len({event.id for event in told}) == len(told)


async def test_jobs_and_the_fleet_are_told(api: Api, jobs: Queue) -> None:
    async with AsyncClient(api.url) as client:
        job = await client.generate("a", seed=1)
        assert (await client.job(job)).id == job.id
        assert (await client.retry(job, seed="new")).request.seed != 1
        assert (await client.cancel(job)).state == "cancelled"
        await client.delete(job)
        with pytest.raises(darkroom.NotThere, match="job_deleted"):
            await client.wait(job)
        assert [model.id for model in await client.models()] == ["tiny"]
        assert [worker.name for worker in await client.workers()] == ["gpu-1"]
        assert [model.queued for model in await client.models()] == [1]


async def test_a_service_that_is_away_is_one_sentence(line: Address, api: Api) -> None:
    line.lead_to(1)
    async with AsyncClient(url_of(line), retries=Retries(attempts=2, first_s=0.01)) as client:
        with pytest.raises(darkroom.Unreachable, match="cannot be reached"):
            await client.pictures("a")
        with pytest.raises(darkroom.Unreachable, match="cannot be reached"):
            _ = [event async for event in client.events("a")]
