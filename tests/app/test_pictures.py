import hashlib
import os
from pathlib import Path

import httpx
import pytest
from redis import Redis
from rq import Queue

from app import gallery
from app.settings import AppSettings
from contract.claims import take
from contract.endings import commit, fail
from contract.errors import NotFinite, StoreUnavailable
from contract.identity import new_job_id
from contract.pictures.folder_store import FolderStore
from tests.app.conftest import PNG, WORKER, develop, serving
from tests.contract.samples import TTL_S, job_result

pytestmark = pytest.mark.anyio


async def accepted(client: httpx.AsyncClient, images: int = 1) -> str:
    response = await client.post("/generate", json={"prompt": "a", "images": images})
    return str(response.headers["location"])


async def test_a_picture_comes_with_its_digest_and_may_be_kept(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    url = await accepted(client)
    develop(jobs)
    response = await client.get(f"{url}/images/0")
    assert response.content == PNG
    assert response.headers["content-type"] == "image/png"
    assert response.headers["etag"] == f'"{hashlib.sha256(PNG).hexdigest()}"'
    assert response.headers["cache-control"] == "private, max-age=600, immutable"
    assert response.headers["vary"] == "Authorization"


async def test_each_picture_has_its_number(client: httpx.AsyncClient, jobs: Queue) -> None:
    url = await accepted(client, images=2)
    develop(jobs, b"one", b"two")
    pictures = [(await client.get(f"{url}/images/{n}")).content for n in range(2)]
    assert pictures == [b"one", b"two"]


async def test_a_picture_that_the_caller_has_is_not_sent_again(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    url = await accepted(client)
    develop(jobs)
    etag = (await client.get(f"{url}/images/0")).headers["etag"]
    for held in (etag, f'"x", W/{etag}', "*"):
        response = await client.get(f"{url}/images/0", headers={"If-None-Match": held})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    response = await client.get(f"{url}/images/0", headers={"If-None-Match": '"x"'})
    assert response.status_code == 200


async def test_a_part_of_a_tag_is_no_tag(client: httpx.AsyncClient, jobs: Queue) -> None:
    url = await accepted(client)
    develop(jobs)
    etag = (await client.get(f"{url}/images/0")).headers["etag"]
    for other in (f'"x{etag[1:]}', etag.strip('"'), f'"a{etag}b"', ""):
        response = await client.get(f"{url}/images/0", headers={"If-None-Match": other})
        assert response.status_code == 200, other


@pytest.mark.parametrize(
    ("wanted", "part", "content_range"),
    [
        ("bytes=0-3", PNG[:4], f"bytes 0-3/{len(PNG)}"),
        ("bytes=4-", PNG[4:], f"bytes 4-{len(PNG) - 1}/{len(PNG)}"),
        ("Bytes = -5", PNG[-5:], f"bytes {len(PNG) - 5}-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=-9999", PNG, f"bytes 0-{len(PNG) - 1}/{len(PNG)}"),
        ("bytes=2-9999", PNG[2:], f"bytes 2-{len(PNG) - 1}/{len(PNG)}"),
    ],
)
async def test_a_part_of_a_picture_comes_alone(
    client: httpx.AsyncClient, jobs: Queue, wanted: str, part: bytes, content_range: str
) -> None:
    url = await accepted(client)
    develop(jobs)
    response = await client.get(f"{url}/images/0", headers={"Range": wanted})
    assert (response.status_code, response.content) == (206, part)
    assert response.headers["content-range"] == content_range
    assert response.headers["content-length"] == str(len(part))
    assert response.headers["etag"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Range": "bytes=0-1,3-4"},
        {"Range": "bytes=3-1"},
        {"Range": "bytes=-"},
        {"Range": "lines=0-1"},
        {"Range": "bytes=0-" + "9" * 5000},
        {"Range": "bytes=0-1", "If-Range": '"another"'},
        {"Range": "bytes=0-1", "If-Range": "Sat, 29 Oct 2026 19:43:31 GMT"},
    ],
)
async def test_without_a_part_that_is_understood_all_of_it_comes(
    client: httpx.AsyncClient, jobs: Queue, headers: dict[str, str]
) -> None:
    url = await accepted(client)
    develop(jobs)
    response = await client.get(f"{url}/images/0", headers=headers)
    assert (response.status_code, response.content) == (200, PNG)
    assert response.headers["accept-ranges"] == "bytes"


async def test_a_part_goes_on_with_what_was_fetched_before(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    url = await accepted(client)
    develop(jobs)
    etag = (await client.get(f"{url}/images/0")).headers["etag"]
    headers = {"Range": "bytes=5-", "If-Range": etag}
    assert (await client.get(f"{url}/images/0", headers=headers)).status_code == 206
    weak = headers | {"If-Range": f"W/{etag}"}
    assert (await client.get(f"{url}/images/0", headers=weak)).status_code == 200
    held = headers | {"If-None-Match": etag}
    assert (await client.get(f"{url}/images/0", headers=held)).status_code == 304


@pytest.mark.parametrize("wanted", [f"bytes={len(PNG)}-", "bytes=-0", "bytes=999999-"])
async def test_a_part_beyond_the_end_is_416(
    client: httpx.AsyncClient, jobs: Queue, wanted: str
) -> None:
    url = await accepted(client)
    develop(jobs)
    response = await client.get(f"{url}/images/0", headers={"Range": wanted})
    assert (response.status_code, response.json()["code"]) == (416, "range_not_satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(PNG)}"


@pytest.mark.parametrize(
    ("fields", "name", "media_type"),
    [
        ({"prompt": 'A "red" äpple\r\n/../x'}, "a-red-pple-x-7.png", "image/png"),
        ({"prompt": "赤い", "format": "jpeg"}, "picture-7.jpeg", "image/jpeg"),
        ({"prompt": "a" * 99, "format": "webp"}, f"{'a' * 40}-7.webp", "image/webp"),
    ],
)
async def test_a_picture_has_a_name_and_a_type(
    client: httpx.AsyncClient, jobs: Queue, fields: dict[str, str], name: str, media_type: str
) -> None:
    job = (await client.post("/generate", json=fields)).json()
    develop(jobs)
    response = await client.get(f"/jobs/{job['id']}/images/0")
    assert response.headers["content-disposition"] == f'inline; filename="{name}"'
    assert response.headers["content-type"] == media_type
    (image,) = (await client.get(f"/jobs/{job['id']}")).json()["images"]
    assert image["media_type"] == media_type


async def test_a_picture_that_is_not_ready_is_409(client: httpx.AsyncClient, jobs: Queue) -> None:
    url = await accepted(client)
    queued = await client.get(f"{url}/images/0")
    take(jobs, WORKER)
    running = await client.get(f"{url}/images/0")
    for response in (queued, running):
        assert (response.status_code, response.json()["code"]) == (409, "picture_not_ready")
        assert int(response.headers["retry-after"]) > 0


async def test_a_failed_job_has_no_pictures_and_says_why(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    url = await accepted(client)
    held = take(jobs, WORKER)
    assert held is not None
    fail(held, NotFinite("It became NaN."))
    response = await client.get(f"{url}/images/0")
    assert (response.status_code, response.json()["code"]) == (409, "job_ended")
    assert "not_finite" in response.json()["detail"]


async def test_a_cancelled_job_has_no_pictures(client: httpx.AsyncClient, jobs: Queue) -> None:
    url = await accepted(client)
    await client.delete(url)
    response = await client.get(f"{url}/images/0")
    assert (response.status_code, response.json()["code"]) == (409, "job_ended")
    assert "retry-after" not in response.headers


@pytest.mark.parametrize("n", ["1", "-1", "99999999999999999999"])
async def test_a_number_out_of_range_is_404(client: httpx.AsyncClient, jobs: Queue, n: str) -> None:
    url = await accepted(client)
    develop(jobs)
    response = await client.get(f"{url}/images/{n}")
    assert (response.status_code, response.json()["code"]) == (404, "picture_not_found")


async def test_what_is_no_number_is_named(client: httpx.AsyncClient, model: str) -> None:
    response = await client.get(f"{await accepted(client)}/images/first")
    assert (response.status_code, response.json()["field"]) == (422, "n")


async def test_an_expired_picture_is_410(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    url = await accepted(client)
    develop(jobs)
    connection.delete(*connection.keys("darkroom:picture:*"))
    response = await client.get(f"{url}/images/0")
    assert (response.status_code, response.json()["code"]) == (410, "picture_expired")


async def test_a_picture_of_no_job_is_404(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/jobs/{new_job_id()}/images/0")
    assert (response.status_code, response.json()["code"]) == (404, "job_not_found")


async def test_a_damaged_picture_is_never_served(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    url = await accepted(client)
    develop(jobs)
    for key in connection.keys("darkroom:picture:*"):
        connection.set(key, PNG[:5])
    response = await client.get(f"{url}/images/0")
    assert (response.status_code, response.json()["code"]) == (410, "picture_expired")


async def test_a_picture_comes_from_the_store_of_the_setting(
    settings: AppSettings, jobs: Queue, tmp_path: Path
) -> None:
    stored = settings.model_copy(update={"pictures": f"file://{tmp_path}/pictures"})
    async with serving(stored) as client:
        url = await accepted(client)
        held = take(jobs, WORKER)
        assert held is not None
        digest = FolderStore(tmp_path / "pictures", TTL_S).put(PNG)
        commit(held, job_result(digest))
        assert (await client.get(f"{url}/images/0")).content == PNG
        (tmp_path / "pictures").rename(tmp_path / "elsewhere")
        away = await client.get(f"{url}/images/0")
    assert (away.status_code, away.json()["code"]) == (503, "store_unavailable")
    assert int(away.headers["retry-after"]) > 0
    assert str(tmp_path) not in away.text


async def test_a_disk_that_hangs_holds_up_nobody_for_long(
    settings: AppSettings, jobs: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open a pipe that nobody writes to is to wait for ever."""
    monkeypatch.setattr(gallery, "LIMIT_S", 0.2)
    path = tmp_path / "00" / "00" / ("0" * 64)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    stored = settings.model_copy(update={"pictures": f"file://{tmp_path}"})
    async with serving(stored) as client:
        url = await accepted(client)
        held = take(jobs, WORKER)
        assert held is not None
        commit(held, job_result(path.name))
        response = await client.get(f"{url}/images/0")
        os.close(os.open(path, os.O_WRONLY))  # lets the thread go
    assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")


async def test_a_job_that_failed_for_its_store_says_so(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    url = await accepted(client)
    held = take(jobs, WORKER)
    assert held is not None
    fail(held, StoreUnavailable("The folder of the pictures cannot be written to."))
    assert (await client.get(url)).json()["error"]["code"] == "store_unavailable"
