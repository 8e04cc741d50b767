"""A job while it is developed: its pictures, and when what happened to them."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from contract import identity
from contract.job import JobResult, PictureRecord, Timings
from contract.origin import UNKNOWN, Origin
from contract.previews import JobPreview
from contract.progress import JobProgress
from contract.request import JobRequest
from contract.timeline import Timeline
from worker.encoding import encode, encode_preview, preview_size
from worker.engine.picture import Developed, Picture, Preview
from worker.engine.usage import Usage

if TYPE_CHECKING:
    from worker.engine.checkpoint import Checkpoint
    from worker.engine.engine import Engine
    from worker.engine.sampler import SamplerTable


TILED = (
    "vae_tiling: the picture was decoded in tiles, blended where they meet, as the device's memory "
    "has no room for the whole of it"
)


class PictureKey(NamedTuple):
    """The engine's name for picture `n` of a job."""

    job_id: str
    n: int


class Development:
    """Collects the pictures of one job until all are stored. Safe for several threads."""

    def __init__(
        self,
        job_id: str,
        request: JobRequest,
        begun: Mapping[int, bytes] | None = None,
        origin: Origin = UNKNOWN,
        told: float = 0.0,
    ):
        """
        Args:
            begun: the checkpoints of those pictures that another worker began, by their number.
            origin: the request that made the job.
            told: how far it was with the worker before, from 0 to 1, as that one told last.
        """
        self.job_id = job_id
        self.request = request
        self.fingerprint = b""
        """Of what its steps are made of; known once the pictures are."""
        self._model_fingerprint = ""
        self._begun = begun or {}
        self._warnings: list[str] = []
        self._evaluations = 0  # of one picture
        self._pictures: list[Picture] = []
        self._starts: dict[int, Checkpoint] = {}
        self._told = told
        self._taken_at = time.perf_counter()
        self._epoch = time.time() - self._taken_at
        """What makes a reading of time.perf_counter seconds since the epoch: one for all times."""
        self._origin = origin
        self.usage = Usage()
        """What its pictures had of the device, as far as they have left the engine; the engine's
        thread alone keeps it."""
        self._counted = Usage()
        """How much of it metrics have had."""
        self.timeline: Timeline | None = None
        """Of the picture that was stored last; None until then."""
        self.undeveloped = set(self.keys)
        """The pictures that the engine still owes; the engine's thread alone keeps it."""
        self._denoised: set[Hashable] = set()
        """Those of them that are only to be decoded."""
        self.ends: dict[int, Checkpoint] = {}
        """Where the developed pictures ended, by their number; kept by the same thread."""
        self._stored: dict[int, tuple[Developed, PictureRecord]] = {}
        self._stored_at = self._taken_at
        self._longest_pause_s = 0.0
        self._given_up = False
        self._lock = Lock()

    @property
    def keys(self) -> list[PictureKey]:
        return [PictureKey(self.job_id, n) for n in range(self.request.images)]

    def rows(self, ahead: Mapping[Hashable, int]) -> int:
        """Rows that the pictures take which have steps before them.

        Args:
            ahead: the most that running pictures bring to one of those.
        """
        most = self.request.most_rows
        return sum(ahead.get(key, most) for key in self.undeveloped - self._denoised)

    def steps_done(self, running: Mapping[Hashable, Checkpoint]) -> int:
        """Model evaluations behind the job, over all of its pictures.

        Args:
            running: where the pictures of any job are that the engine is at. Those that wait for
                room are where another worker left them.
        """
        done = self._evaluations * (self.request.images - len(self.undeveloped))
        for key in self.undeveloped:
            at = running.get(key, self._starts.get(key.n))
            done += at.step if at is not None else 0
        return done

    @property
    def forgone(self) -> int:
        """Row-steps of the worker before of which no checkpoint is left; known once the pictures
        are."""
        told = round(self._told * self._evaluations)  # of each picture, in the mean
        had = sum(picture.row_steps(told) for picture in self._pictures)
        kept = sum(each.row_steps(each.start.step) for each in self._pictures if each.start)
        return max(0, had - kept)

    def uncounted(self) -> Usage:
        """What came to `usage` since the last call: a job may end before its last picture has left
        the engine."""
        with self._lock:
            now = replace(self.usage)
            before, self._counted = self._counted, now
        return now.less(before)

    @property
    def has_pictures(self) -> bool:
        """Whether `pictures` was called: before it nothing is known of what another worker did."""
        return self._evaluations > 0

    @property
    def is_given_up(self) -> bool:
        return self._given_up

    @property
    def stored(self) -> list[str]:
        """The digests of the pictures that are in the store."""
        with self._lock:
            return [record.sha256 for _, record in self._stored.values()]

    @property
    def longest_pause_s(self) -> float:
        """Between two puts of its pictures, or since the last one."""
        with self._lock:
            return max(self._longest_pause_s, time.perf_counter() - self._stored_at)

    @property
    def kept(self) -> list[Developed]:
        """The pictures that are in the store."""
        with self._lock:
            return [developed for developed, _ in self._stored.values()]

    def encoded(self, developed: Developed) -> bytes:
        """A picture of the job in the form that was asked for."""
        assert isinstance(developed.key, PictureKey)
        return encode(developed.pixels, self.request, developed.key.n, self._model_fingerprint)

    def give_up(self) -> bool:
        """The job ends without its pictures. False where that was known already."""
        with self._lock:
            known, self._given_up = self._given_up, True
            return not known

    def pictures(self, table: SamplerTable, engine: Engine) -> list[Picture]:
        """One for each image asked for; picture n has the seed `seed + n`. Those that were begun
        with the same model and table go on from where they were."""
        request = self.request
        self.fingerprint = engine.fingerprint(table)
        if engine.budget.is_tiled(engine.model.shape(request.width, request.height)):
            self._warnings.append(TILED)
        self._model_fingerprint = engine.model.fingerprint
        self._evaluations = len(table)
        guided = table.evaluations(request.guided_steps)
        starts = {n: engine.resumed(begun, self.fingerprint) for n, begun in self._begun.items()}
        self._starts = {n: start for n, start in starts.items() if start is not None}
        self._pictures = [
            Picture(
                key=key,
                prompt=request.prompt,
                negative_prompt=request.negative_prompt,
                guidance=request.guidance,
                seed=request.seed + key.n,
                width=request.width,
                height=request.height,
                table=table,
                start=self._starts.get(key.n),
                is_urgent=request.is_urgent,
                previews=request.previews,
                guided_from=guided.start,
                guided_until=guided.stop,
            )
            for key in self.keys
        ]
        return self._pictures

    def note_denoised(self, key: PictureKey) -> None:
        """The picture is only to be decoded, and has made room for another."""
        self._denoised.add(key)

    def note_developed(self, developed: Developed) -> None:
        """The engine owes this picture no more."""
        assert isinstance(developed.key, PictureKey)
        self.undeveloped.discard(developed.key)
        self.usage.add(developed.usage)
        self.ends[developed.key.n] = developed.end

    def share(self, running: Mapping[Hashable, float]) -> float:
        """How far the whole job is, from 0 to 1, given how far its running pictures are. Those that
        wait for room are where another worker left them."""
        developed = self.request.images - len(self.undeveloped)
        under_way = sum(running.get(key, self._left_at(key.n)) for key in self.undeveloped)
        return (developed + under_way) / self.request.images

    def _left_at(self, n: int) -> float:
        start = self._starts.get(n)
        return start.step / self._evaluations if start is not None else 0.0

    def progress(
        self, running: Mapping[Hashable, float], step_s: float | None, aside_s: float = 0.0
    ) -> JobProgress:
        """
        Args:
            running: how far each running picture is, from 0 to 1.
            step_s: how long it takes until each has had one step more, where that is known.
            aside_s: how long what follows the last step takes.
        """
        share = self.share(running)
        under_way = sum(key in running for key in self.undeveloped)
        left_s = None
        if step_s is not None and (under_way or not self.undeveloped):
            # Those that wait for room follow as the others leave.
            evaluations = (1.0 - share) * self.request.images * self._evaluations
            left_s = evaluations / max(under_way, 1) * step_s + aside_s
        return JobProgress.of(share, self.request.steps, left_s)

    def show(self, key: PictureKey, preview: Preview) -> JobPreview:
        """A preview as others see it. Waits until it has come from the device, and encodes it."""
        step = JobProgress.of(preview.share, self.request.steps).step
        size = preview_size(self.request.final_size)
        preview.copied.wait()
        content = encode_preview(preview.pixels.numpy(), size)
        return JobPreview(key.n, preview.index, step, *size, content)

    def store(
        self, developed: Developed, digest: str, size: int, encoded_at: float
    ) -> JobResult | None:
        """Notes that a picture is in the store. The last one brings the job's result.

        Args:
            encoded_at: when its bytes were made, by time.perf_counter().
        """
        assert isinstance(developed.key, PictureKey)
        n = developed.key.n
        record = PictureRecord(sha256=digest, bytes=size, seed=self.request.seed + n)
        with self._lock:
            now = time.perf_counter()
            if self._stored:
                self._longest_pause_s = max(self._longest_pause_s, now - self._stored_at)
            self._stored[n] = developed, record
            self._stored_at = now
            if len(self._stored) < self.request.images:
                return None
            self.timeline = self._path(developed, encoded_at)
            return self._result(self.timeline)

    def published(self) -> Timeline:
        """All times of the job, which has been committed just now."""
        assert self.timeline is not None
        return self.timeline.then(self._epoch + time.perf_counter())

    def _result(self, timeline: Timeline) -> JobResult:
        ordered = [self._stored[n] for n in sorted(self._stored)]
        developed = [picture for picture, _ in ordered]
        warnings = dict.fromkeys(self._warnings)
        warnings |= dict.fromkeys(text for picture in developed for text in picture.warnings)
        return JobResult(
            images=[record for _, record in ordered],
            warnings=list(warnings),
            timings=Timings.of(timeline),
            device_s=self.usage.device_s,
            model_fingerprint=self._model_fingerprint,
        )

    def _path(self, developed: Developed, encoded_at: float) -> Timeline:
        """The way of a picture that has been stored just now."""
        here = (
            self._taken_at,
            developed.admitted_at,
            developed.joined_at,
            developed.denoised_at,
            developed.decoded_at,
            encoded_at,
            self._stored_at,
        )
        taken, *later = (self._epoch + reading for reading in here)
        accepted = identity.created_at(self.job_id) or taken
        return Timeline.of((self._origin.received or accepted, accepted, taken, *later))
