"""The signature of a webhook, as Standard Webhooks has it: HMAC-SHA256 over id, time and body."""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def sign(keys: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one for each key, so that a receiver that still has the old
    secret and one that has the new accept it alike.

    Args:
        timestamp: Unix seconds of this attempt.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_encoded(hmac.digest(key, signed, hashlib.sha256))}" for key in keys)


def _encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
