"""`darkroom jobs`, `darkroom cancel` and `darkroom status`, on the real app."""

import json

import pytest
from redis import Redis
from rq import Queue

from contract.workers import withdraw
from darkroom import Client
from darkroom.cli import main
from tests.address import free_port
from tests.app.conftest import develop
from tests.contract.samples import worker_card
from tests.darkroom.conftest import Api


@pytest.fixture
def client(api: Api, jobs: Queue, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Makes jobs at the service that the commands ask."""
    monkeypatch.setenv("DARKROOM_URL", api.url)
    return Client(api.url)


def refused(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(str(end.value.code))


def test_jobs_are_listed_newest_first(
    client: Client, jobs: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    with client:
        done, waiting = client.generate("done"), client.generate("red\x1b[31m", seed=5)
    develop(jobs)
    main(["jobs"])
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "STATE", "SEED", "PROMPT"]
    assert first.split() == [waiting.id, "queued", "-", "5", "red", "[31m"]
    assert second.split()[:5] == [done.id, "succeeded", "after", "1.5", "s"]
    main(["jobs", "--state", "succeeded", "--limit", "1", "--json"])
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["id"], listed["state"]) == (done.id, "succeeded")


def test_jobs_are_cancelled_and_looked_at(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    with client:
        job = client.generate("a", seed=5)
    main(["status", job.id])
    assert "state     queued at place 1" in capsys.readouterr().out
    main(["cancel", job.id])
    assert capsys.readouterr().out == f"Job {job.id} is cancelled.\n"
    main(["status", job.id, "--json"])
    assert json.loads(capsys.readouterr().out)["state"] == "cancelled"
    assert refused("cancel", job.id) == 2
    assert capsys.readouterr().err.startswith("darkroom: job_ended: ")


def test_the_status_tells_of_models_workers_and_what_waits(
    client: Client, connection: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    with client:
        client.generate("a")
    main(["status"])
    up, _, _, model, _, _, worker = capsys.readouterr().out.splitlines()
    assert up.endswith("is up.")
    assert model.split() == ["tiny", "64x64", "128", "1", "1"]
    assert worker.split() == ["gpu-1", "tiny", "cpu", "float32", "16", "100"]
    withdraw(connection, worker_card())
    assert refused("status", "--json") == 3
    said = capsys.readouterr()
    assert [model["queued"] for model in json.loads(said.out)["models"]] == [1]
    assert "has no live worker" in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--url", "nowhere"], 2, "'nowhere' is not the URL of a service"),
        (["--key", "a b"], 2, "The API key must be printable ASCII"),
        (["--url", f"http://127.0.0.1:{free_port()}"], 3, "cannot be reached"),
    ],
)
@pytest.mark.usefixtures("client")
def test_what_goes_wrong_is_one_sentence_and_a_code(
    arguments: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused("jobs", *arguments) == code
    complaint = capsys.readouterr().err
    assert sentence in complaint
    assert complaint.count("\n") == 1
