"""A bucket of a server that speaks S3."""

import pytest
from obstore.store import S3Store as Bucket

from contract.errors import StoreUnavailable
from tests.contract.pictures.conftest import Open

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def bare(aws: None) -> Bucket:
    return Bucket("pictures", client_options={"allow_http": True})


def test_the_prefix_is_before_the_digest(bare: Bucket, open_url: Open) -> None:
    digest = open_url("s3://pictures/of/tests/").put(b"a")
    assert bytes(bare.get(f"of/tests/{digest}").bytes()) == b"a"
    assert bytes(bare.get(open_url("s3://pictures").put(b"b")).bytes()) == b"b"


def test_damaged_bytes_are_as_good_as_none(bare: Bucket, open_url: Open) -> None:
    store = open_url("s3://pictures")
    digest = store.put(b"a")
    bare.put(digest, b"b")
    assert store.get(digest) is None


def test_a_bucket_that_is_not_there_is_not_taken_for_pictures_that_are_gone(
    open_url: Open,
) -> None:
    store = open_url("s3://nowhere")
    with pytest.raises(StoreUnavailable):
        store.put(b"a")
    with pytest.raises(StoreUnavailable):
        store.get("0" * 64)


def test_a_server_that_is_away_is_unavailable(
    open_url: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    store = open_url("s3://pictures")
    with pytest.raises(StoreUnavailable):
        store.put(b"a")
    with pytest.raises(StoreUnavailable):
        store.get("0" * 64)
