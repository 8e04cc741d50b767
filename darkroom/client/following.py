"""Following the events of a job over as many connections as it takes."""

from darkroom.client import calls
from darkroom.client.calls import Call, Lost, Reply
from darkroom.client.errors import BadAnswer
from darkroom.client.events import Ended, JobEvent, event_of
from darkroom.client.retries import Retries
from darkroom.client.sse import EventParser

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_S = 15.0
"""The service sends something at least so often."""


class Following:
    """Where a reader stands in the events of a job.

    Send its `next_call`, tell it by `begin` of the answer, `feed` it what comes, and tell it by
    `lose` where nothing does; and again, until it `is_done`.
    """

    def __init__(self, job_id: str, retries: Retries, last_event_id: str | None = None):
        self.is_done = False
        self._job_id = job_id
        self._retries = retries
        self._last_id = last_event_id
        self._parser = EventParser()
        self._tries = 0  # since something was last heard
        self._break_off = Lost(f"The events of job {job_id} broke off.")
        self._trouble: Reply | Lost = self._break_off

    def next_call(self) -> Call:
        """
        Raises:
            ClientError: it was tried often enough.
        """
        after_s = self._pause_s()
        self._tries += 1
        return calls.follow(self._job_id, self._last_id, HEARTBEAT_S, after_s)

    def _pause_s(self) -> float:
        if not self._tries:
            return 0.0
        pause_s = self._retries.pause_s(self._tries, self._trouble.retry_after_s)
        if pause_s is None:
            raise self._trouble.error()
        return pause_s

    def begin(self, reply: Reply) -> bool:
        """Whether a stream comes. Takes the answer's head, and its body where it is a problem.

        Raises:
            ClientError: there is no stream, and will be none.
        """
        if reply.status == 204:  # the reader has seen the end already
            self.is_done = True
            return False
        if reply.is_temporary:
            self.lose(reply)
            return False
        if not reply.is_success:
            raise reply.error()
        if not reply.headers.get("content-type", "").startswith(MEDIA_TYPE):
            raise BadAnswer(f"What came for job {self._job_id} is no stream of events.")
        self._parser = EventParser(self._last_id)
        self.lose(self._break_off)  # unless the end comes, or another reason
        return True

    def feed(self, chunk: bytes) -> list[JobEvent]:
        self._tries = 1
        found = []
        for sent in self._parser.feed(chunk):
            self._last_id = sent.id
            event = event_of(sent)
            if event is not None:
                found.append(event)
                self.is_done |= isinstance(event, Ended)
        return found

    def lose(self, trouble: Reply | Lost) -> None:
        self._trouble = trouble
