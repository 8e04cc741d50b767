"""The one tree of errors. Each class carries a stable `code`; texts may change, codes may not.

DarkroomError
├── RequestError              the caller asked for something that cannot be done
│   ├── InvalidRequest        invalid_request
│   ├── BodyTooLarge          body_too_large
│   ├── UnknownModel          unknown_model
│   ├── UnsupportedSampler    unsupported_sampler
│   ├── UnsupportedSteps      unsupported_steps
│   ├── UnsupportedSize       unsupported_size
│   ├── IdempotencyKeyReused  idempotency_key_reused
│   ├── RangeNotSatisfiable   range_not_satisfiable
│   ├── NotAuthenticated      not_authenticated
│   ├── BeyondKey             beyond_key
│   ├── CrossSite             cross_site
│   ├── HostRefused           host_refused
│   └── LinkRefused           link_refused
├── JobError                  the job or picture asked for is not there, or not in that state
│   ├── JobNotFound           job_not_found
│   ├── JobExpired            job_expired
│   ├── JobDeleted            job_deleted
│   ├── JobEnded              job_ended
│   ├── PictureNotReady       picture_not_ready
│   ├── PictureNotFound       picture_not_found
│   └── PictureExpired        picture_expired
├── ServiceError              the service cannot do it now; waiting may help
│   ├── RedisUnavailable      redis_unavailable
│   ├── QueueFull             queue_full
│   ├── TooMuchWaiting        too_much_waiting
│   ├── OverQuota             the key has used up what it may
│   │   ├── TooManyQueued     too_many_queued
│   │   └── RateLimited       rate_limited
│   ├── StoreUnavailable      store_unavailable
│   ├── NoModel               no_model
│   └── WaitInterrupted       wait_interrupted
├── GenerationError           how a job may fail; stands in the job's `error`
│   ├── SamplerRefused        sampler_refused
│   ├── NotFinite             not_finite
│   ├── OutOfMemory           out_of_memory
│   ├── EngineFault           engine_fault
│   ├── WorkerLost            worker_lost
│   ├── DeadlineExceeded      deadline_exceeded
│   ├── NewerContract         newer_contract
│   └── MalformedJob          malformed_job
├── StartupError              a sentence for the operator; the process does not start
│   ├── BadSetting            bad_setting
│   ├── BadKey                bad_key
│   └── BadCheckpoint         bad_checkpoint
└── ExecutionLost             execution_lost: the job moved on without this worker
"""

from collections.abc import Iterator
from typing import ClassVar

from contract.quotas import Quotas


class DarkroomError(Exception):
    """Base of all errors of this service; `str(error)` is a sentence for a person."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    @classmethod
    def leaves(cls) -> Iterator[type["DarkroomError"]]:
        """Every class at the end of a branch: those that are raised."""
        children = cls.__subclasses__()
        if not children:
            yield cls
        for child in children:
            yield from child.leaves()


class RequestError(DarkroomError):
    """`field` names the field of the request at fault, `allowed` the values that would do."""

    def __init__(self, message: str, *, field: str | None = None, allowed: list[str] | None = None):
        super().__init__(message)
        self.field = field
        self.allowed = allowed


class InvalidRequest(RequestError):
    code = "invalid_request"
    title = "The request is not valid"


class BodyTooLarge(RequestError):
    code = "body_too_large"
    title = "The request body is too large"


class UnknownModel(RequestError):
    code = "unknown_model"
    title = "No such model"


class UnsupportedSampler(RequestError):
    code = "unsupported_sampler"
    title = "The model cannot use this sampler"


class UnsupportedSteps(RequestError):
    code = "unsupported_steps"
    title = "The sampler cannot take this many steps"


class UnsupportedSize(RequestError):
    code = "unsupported_size"
    title = "The model cannot draw this size"


class IdempotencyKeyReused(RequestError):
    code = "idempotency_key_reused"
    title = "The idempotency key belongs to another request"


class RangeNotSatisfiable(RequestError):
    """`size` is how many bytes there are."""

    code = "range_not_satisfiable"
    title = "There is no such part of the picture"

    def __init__(self, message: str, *, size: int):
        super().__init__(message, field="Range")
        self.size = size


class NotAuthenticated(RequestError):
    code = "not_authenticated"
    title = "An API key is needed"


class BeyondKey(RequestError):
    code = "beyond_key"
    title = "The API key does not allow this"


class CrossSite(RequestError):
    code = "cross_site"
    title = "A page of another site asks"


class HostRefused(RequestError):
    code = "host_refused"
    title = "The service is not asked by this name"


class LinkRefused(RequestError):
    code = "link_refused"
    title = "The link is not valid, or no longer"


class JobError(DarkroomError):
    pass


class JobNotFound(JobError):
    code = "job_not_found"
    title = "No such job"


class JobExpired(JobError):
    code = "job_expired"
    title = "The job's record has expired"


class JobDeleted(JobError):
    code = "job_deleted"
    title = "The job was deleted"


class JobEnded(JobError):
    code = "job_ended"
    title = "The job has already ended"


class PictureNotReady(JobError):
    code = "picture_not_ready"
    title = "The picture is not there yet"


class PictureNotFound(JobError):
    code = "picture_not_found"
    title = "The job has no such picture"


class PictureExpired(JobError):
    code = "picture_expired"
    title = "The picture has expired"


class ServiceError(DarkroomError):
    """`retry_after_s` is how long a client does well to wait, in whole seconds."""

    def __init__(self, message: str, *, retry_after_s: int = 2):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RedisUnavailable(ServiceError):
    code = "redis_unavailable"
    title = "The queue cannot be reached"


class QueueFull(ServiceError):
    code = "queue_full"
    title = "The queue is full"


class TooMuchWaiting(ServiceError):
    code = "too_much_waiting"
    title = "Too much work waits already"


class OverQuota(ServiceError):
    """`quotas` is what the key has left."""

    def __init__(self, message: str, *, quotas: Quotas, retry_after_s: int = 2):
        super().__init__(message, retry_after_s=retry_after_s)
        self.quotas = quotas


class TooManyQueued(OverQuota):
    code = "too_many_queued"
    title = "The API key has too many jobs that wait"


class RateLimited(OverQuota):
    code = "rate_limited"
    title = "The API key has asked too often"


class StoreUnavailable(ServiceError):
    """Also how a job fails whose pictures nobody would keep."""

    code = "store_unavailable"
    title = "The picture store cannot be used"


class NoModel(ServiceError):
    code = "no_model"
    title = "No worker has announced a model yet"


class WaitInterrupted(ServiceError):
    """Of a caller who cannot be told of a job that goes on, only of one that is done."""

    code = "wait_interrupted"
    title = "The job goes on, but nobody waits for it here"


class GenerationError(DarkroomError):
    pass


class SamplerRefused(GenerationError):
    code = "sampler_refused"
    title = "The sampler cannot run these steps on this model"


class NotFinite(GenerationError):
    code = "not_finite"
    title = "The picture came out as NaN or infinity"


class OutOfMemory(GenerationError):
    code = "out_of_memory"
    title = "The device has too little memory for this picture"


class EngineFault(GenerationError):
    code = "engine_fault"
    title = "The engine failed on this picture"


class WorkerLost(GenerationError):
    code = "worker_lost"
    title = "Workers died of this job"


class DeadlineExceeded(GenerationError):
    code = "deadline_exceeded"
    title = "The job waited for a worker longer than it may"


class NewerContract(GenerationError):
    """Of one who cannot leave the job to others: a stock worker, or an API that is asked for it."""

    code = "newer_contract"
    title = "The job was made by a newer release"


class MalformedJob(GenerationError):
    code = "malformed_job"
    title = "The job does not hold a request that this worker understands"


class StartupError(DarkroomError):
    pass


class BadSetting(StartupError):
    code = "bad_setting"
    title = "A setting is wrong"


class BadKey(StartupError):
    code = "bad_key"
    title = "The API key cannot be added or revoked"


class BadCheckpoint(StartupError):
    code = "bad_checkpoint"
    title = "The checkpoint cannot be loaded"


class ExecutionLost(DarkroomError):
    code = "execution_lost"
    title = "The job is no longer this worker's"
