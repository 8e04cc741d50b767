"""Reading the header Idempotency-Key."""

import re
from collections.abc import Sequence

from contract.errors import InvalidRequest
from contract.idempotency import HEADER

MOST_CHARACTERS = 255
PRINTABLE = re.compile(r"[\x20-\x7e]+")
QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
"""A string of RFC 8941, section 3.3.3."""


def read_key(values: Sequence[str]) -> str:
    """The key in the header's values, of which there is to be one, bare or quoted.

    Raises:
        InvalidRequest: it is no key.
    """
    (value,) = values if len(values) == 1 else ("",)
    if value.startswith('"'):
        quoted = QUOTED.fullmatch(value)
        value = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted is not None else ""
    if len(value) > MOST_CHARACTERS or PRINTABLE.fullmatch(value) is None:
        raise InvalidRequest(
            f"{HEADER} must be given once, as 1 to {MOST_CHARACTERS} printable ASCII characters, "
            "bare or as a quoted string.",
            field=HEADER,
        )
    return value
