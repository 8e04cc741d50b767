"""DELETE of a job that has ended: nothing of it stays, and nothing of another goes."""

from pathlib import Path

import httpx
import pytest
from redis import Redis
from rq import Queue

from app.settings import AppSettings
from contract import deletion, endings
from contract.claims import take
from contract.endings import commit, fail
from contract.errors import NotFinite
from contract.job import read_job
from contract.pictures.folder_store import FolderStore
from contract.previews import JobPreview, write_preview
from tests.app.conftest import PNG, WORKER, develop, serving
from tests.contract.samples import TTL_S, job_result

pytestmark = pytest.mark.anyio


async def accepted(client: httpx.AsyncClient) -> str:
    return str((await client.post("/generate", json={"prompt": "a"})).json()["id"])


def mentions(connection: Redis, job_id: str) -> set[str]:
    """The keys that name the job or hold its id."""
    found = set()
    for key in connection.keys("*"):
        content = connection.dump(key) or b""
        if job_id.encode() in key + content:
            found.add(key.decode())
    return found


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
async def test_nothing_of_it_stays_but_that_it_was_deleted(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue, end: str
) -> None:
    job_id = await accepted(client)
    if end == "succeeded":
        develop(jobs)
    elif end == "failed":
        held = take(jobs, WORKER)
        assert held is not None
        preview = JobPreview(0, 0, 1, 8, 8, b"a preview")
        write_preview(connection, job_id, held.execution.id, preview)
        fail(held, NotFinite("It became NaN."))
    else:
        await client.delete(f"/jobs/{job_id}")
    job = (await client.get(f"/jobs/{job_id}")).json()
    assert (job["state"], job["links"]["delete"]) == (end, f"/jobs/{job_id}")
    response = await client.delete(f"/jobs/{job_id}")
    assert (response.status_code, response.content) == (204, b"")
    assert mentions(connection, job_id) == {f"darkroom:deleted:{job_id}"}
    assert connection.keys("darkroom:picture:*") == []
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/images/0"):
        gone = await client.get(path)
        assert (gone.status_code, gone.json()["code"]) == (410, "job_deleted")
    again = await client.delete(f"/jobs/{job_id}")
    assert (again.status_code, again.json()["code"]) == (410, "job_deleted")


async def test_a_picture_goes_with_the_last_job_that_has_it(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    first, second = await accepted(client), await accepted(client)
    develop(jobs)
    develop(jobs)
    await client.delete(f"/jobs/{first}")
    assert (await client.get(f"/jobs/{second}/images/0")).content == PNG
    await client.delete(f"/jobs/{second}")
    assert jobs.connection.keys("darkroom:picture:*") == []


async def test_a_job_that_ends_at_the_moment_of_its_cancel_is_not_deleted(
    client: httpx.AsyncClient, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await accepted(client)
    cancel = endings.cancel

    def late(connection: Redis, job_id: str) -> None:
        develop(jobs)
        cancel(connection, job_id)

    monkeypatch.setattr(endings, "cancel", late)
    response = await client.delete(f"/jobs/{job_id}")
    assert (response.status_code, response.json()["code"]) == (409, "job_ended")
    assert (await client.get(f"/jobs/{job_id}/images/0")).content == PNG


async def test_a_store_that_is_away_lets_the_job_be_deleted_later(
    settings: AppSettings, jobs: Queue, tmp_path: Path
) -> None:
    folder, elsewhere = tmp_path / "pictures", tmp_path / "elsewhere"
    async with serving(settings.model_copy(update={"pictures": f"file://{folder}"})) as client:
        job_id = await accepted(client)
        held = take(jobs, WORKER)
        assert held is not None
        commit(held, job_result(FolderStore(folder, TTL_S).put(PNG)))
        folder.rename(elsewhere)
        refused = await client.delete(f"/jobs/{job_id}")
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        assert (await client.get(f"/jobs/{job_id}")).json()["state"] == "succeeded"
        elsewhere.rename(folder)
        assert (await client.delete(f"/jobs/{job_id}")).status_code == 204
    assert not [path for path in folder.rglob("*") if path.is_file()]


async def test_a_deletion_that_was_broken_off_is_done_again(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    job_id = await accepted(client)
    develop(jobs)
    record = read_job(connection, job_id)
    assert record is not None
    deletion.begin(connection, record)
    assert (await client.delete(f"/jobs/{job_id}")).status_code == 204
    assert connection.keys("darkroom:picture:*") == []
