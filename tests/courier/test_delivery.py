"""One attempt, to a real server on this machine."""

import socket
import ssl
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from contract.destinations import Destinations
from courier import delivery
from courier.delivery import Attempt, Delivery, Verdict
from tests.courier.receiver import Receiver, receiving
from tests.courier.samples import HERE, KEYS, MESSAGE_ID, SECRETS, event


class Names:
    """Stands for a resolver: each question gets the next answer, and the last one for ever."""

    def __init__(self, *answers: Sequence[str]):
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def attempt(url: str, destinations: Destinations = HERE, names: Names | None = None) -> Attempt:
    resolve = names if names is not None else delivery.resolve
    sender = Delivery(KEYS, destinations, "https://pictures.example.com", resolve=resolve)
    return sender.attempt(MESSAGE_ID, url, event())


def test_a_webhook_is_verified_by_its_receiver(receiver: Receiver) -> None:
    assert attempt(receiver.url).verdict is Verdict.DELIVERED
    received = receiver.next()
    told = received.verified(SECRETS[0])
    assert told == received.verified(SECRETS[1])
    assert told["type"] == "job.succeeded"
    assert told["data"]["images"][0]["url"].startswith("https://pictures.example.com/jobs/")
    assert told["data"]["tags"] == {"order": "größer"}
    assert received.path == "/hook?key=1"
    assert received.headers["webhook-id"] == MESSAGE_ID
    assert received.headers["host"] == urlsplit(receiver.url).netloc
    assert received.headers["content-type"] == "application/json"


def test_an_attempt_has_the_old_id_and_body_and_a_time_of_its_own(receiver: Receiver) -> None:
    times = iter([time.time() - 200, time.time()])
    sender = Delivery(KEYS, HERE, clock=lambda: next(times))
    for _ in range(2):
        sender.attempt(MESSAGE_ID, receiver.url, event())
    first, second = receiver.next(), receiver.next()
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    stamps = [int(each.headers["webhook-timestamp"]) for each in (first, second)]
    assert stamps[1] - stamps[0] in (199, 200, 201)
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    for each in (first, second):
        each.verified(SECRETS[0])


@pytest.mark.parametrize(
    ("status", "verdict", "asked_s"),
    [
        (200, Verdict.DELIVERED, None),
        (202, Verdict.DELIVERED, None),
        (400, Verdict.AGAIN, None),
        (404, Verdict.AGAIN, None),
        (410, Verdict.NEVER, None),
        (429, Verdict.AGAIN, 40.0),
        (500, Verdict.AGAIN, None),
        (503, Verdict.AGAIN, 40.0),
    ],
)
def test_the_status_says_what_becomes_of_it(
    receiver: Receiver, status: int, verdict: Verdict, asked_s: float | None
) -> None:
    receiver.answer(status, Retry_After="40")
    made = attempt(receiver.url)
    assert (made.verdict, made.asked_s) == (verdict, asked_s)
    assert str(status) in made.reason
    assert "key=1" not in made.reason


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_never_followed(receiver: Receiver, status: int) -> None:
    receiver.answer(status, Location=receiver.url.replace("hook", "private"))
    assert attempt(receiver.url).verdict is Verdict.AGAIN
    assert receiver.next().path == "/hook?key=1"
    assert receiver.received.empty()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "[::]",
    ],
)
def test_this_machine_is_not_reached_in_any_form(receiver: Receiver, host: str) -> None:
    url = f"http://{host}:{urlsplit(receiver.url).port}/hook"
    for made in (attempt(url, Destinations()), attempt(url, Destinations(), Names(["127.0.0.1"]))):
        assert made.verdict is Verdict.NEVER
    assert receiver.received.empty()


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["169.254.169.254"], ["1.1.1.1", "10.0.0.1"], ["fe80::1%eth0"]]
)
def test_a_name_is_as_private_as_any_of_its_addresses(addresses: list[str]) -> None:
    made = attempt("http://hooks.example.com/", names=Names(addresses))
    assert made.verdict is Verdict.NEVER


def test_the_name_is_resolved_once_and_its_checked_address_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the name stands for a moment later. Nobody but the resolver is asked for it."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    asked: list[object] = []
    real = socket.getaddrinfo

    def noted(host: object, *args: object, **kwargs: object) -> object:
        asked.append(host)
        return real(host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    url = receiver.url.replace("127.0.0.1", "hooks.example.com")
    assert attempt(url, names=names).verdict is Verdict.DELIVERED
    assert names.asked == ["hooks.example.com"]
    assert "hooks.example.com" not in asked
    assert receiver.next().headers["host"] == urlsplit(url).netloc
    assert attempt(url, names=names).verdict is Verdict.NEVER
    assert receiver.received.empty()


def test_an_address_that_does_not_answer_gives_way_to_the_next(receiver: Receiver) -> None:
    destinations = Destinations(networks=(*HERE.networks, ip_network("::1/128")))
    url = receiver.url.replace("127.0.0.1", "hooks.example.com")
    made = attempt(url, destinations, Names(["::1", "127.0.0.1"]))
    assert made.verdict is Verdict.DELIVERED


def test_what_is_not_there_may_be_there_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert attempt(f"http://127.0.0.1:{port}/").verdict is Verdict.AGAIN
    assert attempt("http://nothing.invalid/").verdict is Verdict.AGAIN


def test_a_host_beside_the_list_is_not_called(receiver: Receiver) -> None:
    made = attempt(receiver.url, Destinations(("hooks.example.com",), HERE.networks))
    assert made.verdict is Verdict.NEVER
    assert receiver.received.empty()


def test_a_receiver_that_never_ends_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends a little now and then, so that no single read takes long."""
    monkeypatch.setattr(delivery, "LIMIT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        made = pool.submit(attempt, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        peer, _ = listener.accept()
        with peer, suppress(OSError):
            peer.sendall(b"HTTP/1.1 200 OK\r\n")
            while not wait([made], 0.05).done:
                peer.sendall(b"X-A: b\r\n")
        assert made.result(30) == Attempt(Verdict.AGAIN, "no answer within 0 s")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of hooks.example.com, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example.com")]), False)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return path


@pytest.mark.parametrize(
    ("host", "verdict"),
    [("hooks.example.com", Verdict.DELIVERED), ("other.example.com", Verdict.AGAIN)],
)
def test_the_certificate_must_be_the_names_although_an_address_is_called(
    certificate: Path, host: str, verdict: Verdict
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    trust = ssl.create_default_context(cafile=str(certificate))
    sender = Delivery(KEYS, HERE, resolve=Names(["127.0.0.1"]), tls=trust)
    with receiving(tls) as receiver:
        url = receiver.url.replace("http://127.0.0.1", f"https://{host}")
        made = sender.attempt(MESSAGE_ID, url, event())
    assert made.verdict is verdict, made.reason
