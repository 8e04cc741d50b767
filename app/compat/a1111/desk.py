"""Whose options, progress and interruption are meant: those of the API key, else of the address."""

from typing import Annotated

from fastapi import Depends, Request

from app.access import Asker


async def _desk(request: Request, caller: Asker) -> str:
    if caller.key is not None:
        return f"key {caller.key.id}"
    return f"address {request.client.host if request.client is not None else 'unknown'}"


Desk = Annotated[str, Depends(_desk)]
"""The name of the caller's desk (`contract.desks`)."""
