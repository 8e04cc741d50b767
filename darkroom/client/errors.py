"""Everything that a client may raise. `str(error)` is a sentence for a person.

ClientError
├── BadAddress        the URL or the key cannot be used; nothing was sent
├── Unreachable       no answer came, however often it was asked for
├── BadAnswer         what answers there is no darkroom, or one that this client does not understand
├── Refused           the service said no: `code` is stable, `status` is HTTP's
│   ├── InvalidRequest    what was asked cannot be done; `field` and `faults` say why
│   ├── NotAllowed        the key is missing, unknown, or may not do this
│   ├── NotThere          no such job or picture, or no longer
│   ├── WrongState        the job has ended already, or not yet
│   ├── Unavailable       not now: too many ask, or a part of the service is away
│   └── ServiceFault      the service failed
├── JobEnded          there are no pictures to wait for; `job` is the job
│   ├── JobFailed         `code` says how
│   └── JobCancelled
├── WaitTimeout       the job goes on, and may be waited for again
└── CannotSave        the pictures cannot be written there
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkroom.client.jobs import Job


class ClientError(Exception):
    may_be_ours = False
    """Whether an earlier try got no answer, and may be what has led to this one."""


class BadAddress(ClientError, ValueError):
    pass


class Unreachable(ClientError):
    pass


class BadAnswer(ClientError):
    pass


class WaitTimeout(ClientError, TimeoutError):
    pass


class CannotSave(ClientError):
    pass


class JobEnded(ClientError):
    def __init__(self, message: str, job: "Job"):
        super().__init__(message)
        self.job = job


class JobFailed(JobEnded):
    def __init__(self, job: "Job"):
        self.code = job.error.code if job.error is not None else "unknown"
        detail = job.error.detail if job.error is not None else "The job failed."
        super().__init__(f"{self.code}: {detail}", job)


class JobCancelled(JobEnded):
    def __init__(self, job: "Job"):
        super().__init__(f"Job {job.id} was cancelled.", job)


@dataclass(frozen=True, slots=True)
class FieldFault:
    field: str
    message: str


class Refused(ClientError):
    """What a problem document (RFC 9457) says."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None):
        self.status = status
        self.code = str(problem.get("code") or _plain_code(status))
        self.title = str(problem.get("title") or "")
        self.detail = str(problem.get("detail") or self.title or f"HTTP status {status}.")
        field = problem.get("field")
        self.field = str(field) if field is not None else None
        self.faults = _faults(problem.get("errors"))
        self.allowed = _texts(problem.get("allowed"))
        self.retry_after_s = retry_after_s
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        is_named = self.field is None or self.detail.startswith(f"{self.field}: ")
        return f"{self.code}: {self.detail if is_named else f'{self.field}: {self.detail}'}"

    @staticmethod
    def of(status: int, problem: object, retry_after_s: float | None = None) -> "Refused":
        """The error that fits an answer. `problem` is its JSON, whatever that is."""
        kind = _KINDS.get(status, ServiceFault if status >= 500 else InvalidRequest)
        return kind(status, problem if isinstance(problem, Mapping) else {}, retry_after_s)


class InvalidRequest(Refused):
    pass


class NotAllowed(Refused):
    pass


class NotThere(Refused):
    pass


class WrongState(Refused):
    pass


class Unavailable(Refused):
    pass


class ServiceFault(Refused):
    pass


_KINDS: Mapping[int, type[Refused]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotThere,
    408: Unavailable,
    409: WrongState,
    410: NotThere,
    421: NotAllowed,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""All other statuses of 400 and more are `InvalidRequest`, those of 500 and more `ServiceFault`."""


def _plain_code(status: int) -> str:
    """Where no problem document came, as from a proxy: the same form as the service's own."""
    try:
        return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")
    except ValueError:
        return f"http_{status}"


def _faults(told: object) -> Sequence[FieldFault]:
    entries = told if isinstance(told, list) else []
    return tuple(
        FieldFault(str(entry.get("field")), str(entry.get("message")))
        for entry in entries
        if isinstance(entry, Mapping)
    )


def _texts(told: object) -> Sequence[str]:
    return tuple(map(str, told)) if isinstance(told, list) else ()
