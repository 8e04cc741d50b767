"""Where a page of a list ends, as a text that means nothing to its reader."""

import base64
import binascii
from uuid import UUID

from contract import identity
from contract.errors import InvalidRequest


def write_cursor(job_id: str) -> str:
    return base64.urlsafe_b64encode(UUID(job_id).bytes).rstrip(b"=").decode()


def read_cursor(text: str | None) -> str | None:
    """The id of the job that the page before ended with.

    Raises:
        InvalidRequest: the text is no cursor.
    """
    if text is None:
        return None
    try:
        job_id = str(UUID(bytes=base64.b64decode(f"{text}==", altchars=b"-_", validate=True)))
    except (ValueError, binascii.Error):
        job_id = ""
    if identity.created_at(job_id) is None:
        raise InvalidRequest("That is not a cursor of a list of jobs.", field="cursor")
    return job_id
