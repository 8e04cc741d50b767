"""Our signatures are what the verifier of Standard Webhooks asks for."""

import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from courier.signature import sign
from tests.courier.samples import KEYS, SECRETS

BODY = '{"type":"job.succeeded","data":{"tags":{"a":"größer"}}}'.encode()


def headers(keys: tuple[bytes, ...], timestamp: int) -> dict[str, str]:
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(keys, "msg_1", timestamp, BODY),
    }


@pytest.mark.parametrize("secret", SECRETS)
def test_a_receiver_with_either_secret_accepts_it_during_a_rotation(secret: str) -> None:
    told = Webhook(secret).verify(BODY, headers(KEYS, int(time.time())))
    assert told["type"] == "job.succeeded"


@pytest.mark.parametrize(
    ("signer", "body", "age_s"), [(KEYS[1:], BODY, 0), (KEYS, BODY + b" ", 0), (KEYS, BODY, 301)]
)
def test_another_secret_or_body_or_an_old_time_is_not_accepted(
    signer: tuple[bytes, ...], body: bytes, age_s: int
) -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRETS[0]).verify(body, headers(signer, int(time.time()) - age_s))
