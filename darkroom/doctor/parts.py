"""The parts of the service, and the settings that each of them reads."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from app.settings import AppSettings
from contract.settings import CommonSettings, environment_name
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


READ: Mapping[Part, Sequence[type[CommonSettings]]] = {
    Part.ALL: (AppSettings, WorkerSettings, CourierSettings, ClientSettings),
    Part.API: (AppSettings, ClientSettings),
    Part.WORKER: (WorkerSettings,),
    Part.WEBHOOKS: (CourierSettings,),
}


Named = Mapping[str, tuple[type[CommonSettings], str]]
"""Settings by the environment's names: whose they are, and the name of the field."""


def names_of(part: Part) -> Named:
    return {
        environment_name(each, field): (each, field)
        for each in READ[part]
        for field in each.model_fields
    }
