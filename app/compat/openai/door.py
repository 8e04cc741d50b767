"""What makes the app speak to OpenAI's clients."""

from typing import Any

from fastapi import FastAPI

from app.access import REFUSALS
from app.compat.openai import images, links, models
from app.compat.openai.errors import shown_errors


def add_openai(app: FastAPI, guards: list[Any]) -> None:
    """
    Args:
        guards: what every route needs that is not open to all.
    """
    for noun in (images, models):
        app.include_router(noun.router, dependencies=guards, responses=shown_errors(*REFUSALS))
    app.include_router(links.router)  # the signature is the key
