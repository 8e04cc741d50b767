"""What waits, for whom and since when, and how Redis is: looked up when Prometheus asks."""

from collections.abc import Iterator, Mapping

import redis
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.census import Census, take_census
from contract import webhooks
from contract.queue import model_queue
from contract.waiting import ASKED, Waiting, ask_waiting, read_waiting
from contract.workers import last_speeds

UNKNOWN_SPEED = 1.0
"""Row-steps in a second where no worker of a model has ever told: few, so that work is seen."""

Samples = dict[tuple[str, ...], float]
"""By the values of the labels."""


class QueueCollector(Collector):
    """A few looks at Redis, whatever waits. Without Redis it says just that."""

    def __init__(self, connection: redis.Redis):
        self._connection = connection
        self._webhooks = webhooks.webhook_queue(connection)

    def collect(self) -> Iterator[Metric]:
        try:
            metrics = self._read()
        except redis.RedisError:
            metrics = []
        yield _gauge("darkroom_redis_up", "Whether Redis answers.", (), {(): bool(metrics)})
        yield from metrics

    def describe(self) -> Iterator[Metric]:
        """Empty: to register the collector must not ask Redis."""
        return iter(())

    def _read(self) -> list[Metric]:
        census, speeds = take_census(self._connection), last_speeds(self._connection)
        pipeline = self._connection.pipeline(transaction=False)
        pipeline.info("memory")
        webhooks.ask_waiting(pipeline, self._webhooks)
        for model in census.models:
            ask_waiting(pipeline, model_queue(self._connection, model))
        memory, due, later, *answers = pipeline.execute()
        waiting = {
            model: read_waiting(answers[ASKED * n : ASKED * (n + 1)])
            for n, model in enumerate(census.models)
        }
        return [*_queues(waiting), *_devices(waiting, census, speeds), *_redis(memory, due + later)]


def _queues(waiting: Mapping[str, Waiting]) -> list[Metric]:
    lanes = {
        (model, priority): lane
        for model, each in waiting.items()
        for priority, lane in each.lanes.items()
    }
    labels = ("model", "priority")
    return [
        _gauge(
            "darkroom_queue_depth",
            "Jobs that wait.",
            labels,
            {key: lane.depth for key, lane in lanes.items()},
        ),
        _gauge(
            "darkroom_queue_oldest_wait_seconds",
            "Since the job was accepted that is the next of its priority; 0 where none waits.",
            labels,
            {key: lane.wait_s for key, lane in lanes.items()},
        ),
    ]


def _devices(
    waiting: Mapping[str, Waiting], census: Census, speeds: Mapping[str, float]
) -> list[Metric]:
    live = census.live_count()
    seconds: Samples = {}
    for model, each in waiting.items():
        speed = census.row_steps_per_s_each(model) or speeds.get(model) or UNKNOWN_SPEED
        seconds[model,] = each.work / speed
    return [
        _gauge(
            "darkroom_queue_work_seconds",
            "What waits, in seconds of one worker, as estimated.",
            ("model",),
            seconds,
        ),
        _gauge(
            "darkroom_live_workers",
            "Workers that live.",
            ("model",),
            {(model,): live[model] for model in waiting},
        ),
    ]


def _redis(memory: Mapping[str, float], webhooks_waiting: int) -> list[Metric]:
    return [
        _gauge("darkroom_redis_memory_bytes", "What Redis uses.", (), {(): memory["used_memory"]}),
        _gauge(
            "darkroom_redis_memory_limit_bytes",
            "What Redis may use; 0 where there is no limit.",
            (),
            {(): memory["maxmemory"]},
        ),
        _gauge(
            "darkroom_webhooks_waiting",
            "Webhooks that are not delivered yet, those among them that will be sent again.",
            (),
            {(): webhooks_waiting},
        ),
    ]


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples.items():
        gauge.add_metric(values, value)
    return gauge
