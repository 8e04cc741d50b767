"""The parts of the service, and the settings that each of them reads."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from pydantic_settings import BaseSettings

from app.settings import AppSettings
from contract.logs import LogSettings
from contract.settings import environment_name
from courier.settings import CourierSettings
from darkroom.settings import ClientSettings
from worker.settings import WorkerSettings


class Part(StrEnum):
    ALL = "all"
    API = "api"
    WORKER = "worker"
    WEBHOOKS = "webhooks"

    def has(self, other: "Part") -> bool:
        return self in (Part.ALL, other)


READ: Mapping[Part, Sequence[type[BaseSettings]]] = {
    Part.ALL: (AppSettings, WorkerSettings, CourierSettings, ClientSettings, LogSettings),
    Part.API: (AppSettings, ClientSettings, LogSettings),
    Part.WORKER: (WorkerSettings, LogSettings),
    Part.WEBHOOKS: (CourierSettings, LogSettings),
}


Named = Mapping[str, tuple[type[BaseSettings], str]]
"""Settings by the environment's names: whose they are, and the name of the field."""


def names_of(part: Part) -> Named:
    return {
        environment_name(each, field): (each, field)
        for each in READ[part]
        for field in each.model_fields
    }
