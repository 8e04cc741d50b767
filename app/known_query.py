"""A name in a query that a list does not know is refused: it would have narrowed the list down."""

from typing import Any

from fastapi import Request

from app.problems import printable
from contract.errors import InvalidRequest


async def known_query(request: Request) -> None:
    """
    Raises:
        InvalidRequest: names the parameter that the route does not have.
    """
    if not request.query_params:
        return
    route: Any = request.scope["route"]
    known = [each.alias for each in route.dependant.query_params]
    for name in request.query_params:
        if name not in known:
            there = f"; parameters are {', '.join(known)}" if known else ""
            field = printable(name)
            raise InvalidRequest(f"There is no parameter {field}{there}.", field=field)
