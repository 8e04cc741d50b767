from collections.abc import Iterator

import pytest

from darkroom import Client, Retries
from tests.address import Address
from tests.darkroom.conftest import Api

SOON = Retries(attempts=200, first_s=0.01, most_s=0.05)


def url_of(line: Address) -> str:
    return line.url.replace("redis:", "http:").removesuffix("/0")


@pytest.fixture
def client(api: Api) -> Iterator[Client]:
    with Client(api.url, retries=SOON) as client:
        yield client


@pytest.fixture
def bad_line_client(line: Address) -> Iterator[Client]:
    with Client(url_of(line), retries=SOON) as client:
        yield client
