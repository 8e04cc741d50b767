import time
import uuid

import pytest

from contract.identity import created_at, new_job_id


def test_id_is_a_uuid_of_version_7_that_tells_its_time() -> None:
    before = time.time()
    job_id = new_job_id()
    made = created_at(job_id)
    assert uuid.UUID(job_id).version == 7
    assert uuid.UUID(job_id).variant == uuid.RFC_4122
    assert made is not None
    assert before - 0.000_001 <= made <= time.time()


def test_ids_differ_within_a_millisecond() -> None:
    assert len({new_job_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "*",
        str(uuid.UUID(int=0)),
        str(uuid.UUID("c6a5d21e-6a2c-4a5e-9d2c-0a4f3c0a4f3c")),
        "01A20CBB-88BD-7A27-B2AE-4323D6DDB518",
        "01a20cbb88bd7a27b2ae4323d6ddb518",
        "{01a20cbb-88bd-7a27-b2ae-4323d6ddb518}",
        "urn:uuid:01a20cbb-88bd-7a27-b2ae-4323d6ddb518",
        "01a20cbb-88bd-7a27-b2ae-4323d6ddb518\n",
    ],
)
def test_only_the_one_spelling_of_our_ids_is_an_id(text: str) -> None:
    assert created_at(text) is None


def test_time_is_that_in_the_id() -> None:
    assert created_at("017f22e2-79b0-7cc3-98c4-dc0c0c07398f") == 1645557742.000797
