import httpx
import pytest
from redis import Redis

from contract.workers import announce
from tests.contract.samples import model_card, worker_card

pytestmark = pytest.mark.anyio


async def test_process_is_up(client: httpx.AsyncClient) -> None:
    response = await client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "up"})


async def test_ready_lists_the_live_workers_by_name(
    client: httpx.AsyncClient, connection: Redis
) -> None:
    assert (await client.get("/readyz")).json() == {"status": "ready", "workers": []}
    for name in ("gpu-2", "gpu-1"):
        announce(connection, worker_card(name), model_card())
    workers = (await client.get("/readyz")).json()["workers"]
    assert [worker["name"] for worker in workers] == ["gpu-1", "gpu-2"]
    assert (workers[0]["model"], workers[0]["rows"], workers[0]["device"]) == ("tiny", 16, "cpu")
