"""What makes the app speak to OpenAI's clients."""

from typing import Any

from fastapi import FastAPI

from app.compat.openai import images, links, models
from app.compat.openai.errors import error_response, shown_errors
from app.problems import answer_otherwise
from contract import errors

PREFIX = "/v1/"


def add_openai(app: FastAPI, guards: list[Any]) -> None:
    """
    Args:
        guards: what every route needs that is not open to all.
    """
    shown = shown_errors(errors.NotAuthenticated)
    for noun in (images, models):
        app.include_router(noun.router, dependencies=guards, responses=shown)
    app.include_router(links.router)  # the signature is the key
    answer_otherwise(app, PREFIX, error_response)
