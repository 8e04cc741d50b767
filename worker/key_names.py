"""The names of the keys whose jobs a worker does, for labels: few, whatever comes."""

import logging

import redis
from redis import Redis

from contract.keys import name_of

MOST_NAMES = 200
OTHER = "other"
"""Stands for all keys beyond MOST_NAMES, and for those that are not there any more."""

logger = logging.getLogger(__name__)


class KeyNames:
    """One thread asks Redis, any may look up."""

    def __init__(self, connection: Redis):
        self._connection = connection
        self._known = {"": ""}  # by id; jobs that are nobody's have none

    def learn(self, key_id: str) -> None:
        """Asks for the name of a key that is new here. A label is not worth a job: without Redis
        the next job of the key asks again."""
        if key_id in self._known or len(self._known) > MOST_NAMES:
            return
        try:
            name = name_of(self._connection, key_id)
        except redis.RedisError as error:
            logger.debug("the name of key %s cannot be asked for: %s", key_id, error)
        else:
            self._known[key_id] = name or OTHER

    def label(self, key_id: str) -> str:
        return self._known.get(key_id, OTHER)
