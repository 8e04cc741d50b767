"""Calls of the web UI's API, answered while a test plays the worker."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
from anyio import to_thread
from redis import Redis

from contract.desks import open_tasks
from tests.waiting import until

Play = Callable[[], object]

MINE = "address 127.0.0.1"
"""The desk of a caller without a key, as httpx's transport introduces them."""


async def while_asking(
    client: httpx.AsyncClient,
    act: Callable[[], Awaitable[object]],
    sent: dict[str, Any] | None = None,
    **fields: Any,
) -> httpx.Response:
    """The answer to txt2img, while `act` does what ends it.

    Args:
        sent: what httpx sends beside the body.
    """
    answers: list[httpx.Response] = []

    async def post() -> None:
        body = {"prompt": "a red circle"} | fields
        answers.append(await client.post("/sdapi/v1/txt2img", json=body, **(sent or {})))

    async with anyio.create_task_group() as group:
        group.start_soon(post)
        await act()
    return answers[0]


async def ask(
    client: httpx.AsyncClient, play: Play, sent: dict[str, Any] | None = None, **fields: Any
) -> httpx.Response:
    """Likewise, while `play` is tried until it has found the job."""
    return await while_asking(client, lambda: to_thread.run_sync(until, play, 10.0), sent, **fields)


async def on_desk(connection: Redis, desk: str = MINE) -> list[str]:
    """The ids of the jobs there, once there is one."""

    def look() -> list[str]:
        return list(open_tasks(connection, desk))

    return await to_thread.run_sync(until, look, 10.0)


def info(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return json.loads(answer.json()["info"])
