"""A route for what is asked many times a second.

FastAPI takes longer to see to a request's dependencies and body than such a route takes to answer
it. So what is plain is read here: no query, and either no body or one of JSON that is valid. All
else goes FastAPI's way, which knows how to say what is wrong with it. The route's description is
FastAPI's in any case.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from app.access import authenticate

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
JSON = "application/json"


class QuickRoute(APIRoute):
    """Its endpoint takes `request`, the parameters of the path, which are texts, and a model where
    there is a body; whatever else it takes has a default. It returns a response."""

    def get_route_handler(self) -> Handler:
        ordinary = super().get_route_handler()
        body = self.body_field
        model: Any = body.field_info.annotation if body is not None else None

        async def handle(request: Request) -> Response:
            known: dict[str, Any] = dict(request.path_params)
            await authenticate(request)  # before a body is waited for
            if request.scope["query_string"]:
                return await ordinary(request)
            if body is not None:
                found = await _read(request, model)
                if found is None:
                    return await ordinary(request)
                known[body.name] = found
            response: Response = await self.endpoint(request=request, **known)
            return response

        return handle


async def _read(request: Request, model: type[BaseModel]) -> BaseModel | None:
    """None where it takes more to read it, or to say why it cannot be read."""
    if request.headers.get("content-type") != JSON:
        return None
    try:
        return model.model_validate(json.loads(await request.body()))
    except (ValidationError, ValueError, RecursionError):
        return None
