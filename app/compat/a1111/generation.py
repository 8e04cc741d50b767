"""POST /sdapi/v1/txt2img: pictures, and the connection stays open until they are there."""

import base64
from contextlib import suppress
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from app.access import Asker, Caller
from app.admission import Accepted
from app.compat.a1111.desk import Desk
from app.compat.a1111.info import info_of
from app.compat.a1111.options import read_options
from app.compat.a1111.request import Txt2Img, wanted
from app.compat.a1111.views import Txt2ImgView
from app.compat.hangups import cancel, end_of
from app.keys import read_key
from app.problems import JobFailed
from app.quotas import quota_headers
from app.routes.generate import REPLAYED, Manner, make_job, manner_of
from app.routes.pictures import picture_content
from app.services import Served, Services
from app.under_way import note_job
from contract.desks import chosen_model, put_away, take_on
from contract.errors import ServiceError, WaitInterrupted
from contract.idempotency import Ticket
from contract.job import JobRecord

router = APIRouter()

JOB_HEADER = "X-Darkroom-Job"
NOT_DONE = ("img2img", "extra-single-image", "extra-batch-images", "interrogate", "png-info")
CLIENT_CLOSED = 499  # a word of nginx's, for the metrics: nobody reads the answer


@router.post("/sdapi/v1/txt2img")
async def txt2img(
    asked: Txt2Img,
    request: Request,
    services: Served,
    caller: Asker,
    desk: Desk,
) -> Response:
    """A job that is interrupted is answered without pictures. One whose client hangs up is
    cancelled, unless it sent an `Idempotency-Key`: with that it comes back for it."""
    manner = manner_of(request)
    accepted = await _accept(services, caller, desk, asked, manner)
    record = accepted.record
    note_job(record.id)
    with suppress(ServiceError):  # it is accepted, whether or not it can be asked for
        await services.backend.call(take_on, desk, record.id, asked.force_task_id)
    try:
        ended = await end_of(services, caller, request, record)
        if ended is None and not manner.idempotency_key:
            await cancel(services, record.id)
    finally:
        with suppress(ServiceError):
            await services.backend.call(put_away, desk, record.id)
    if ended is None:
        return Response(status_code=CLIENT_CLOSED)
    headers = {JOB_HEADER: record.id} | quota_headers(accepted.quotas)
    if accepted.is_replay:
        headers[REPLAYED] = "true"
    return await _reply(services, asked, ended, headers)


async def _accept(
    services: Services, caller: Caller, desk: str, asked: Txt2Img, manner: Manner
) -> Accepted:
    census = await services.census.get()
    model = read_options(asked.override_settings, census, services.settings)
    if model is None:
        model = await services.backend.call(chosen_model, desk)
    native = wanted(asked, model)
    keys = manner.idempotency_key
    ticket = Ticket.of(read_key(keys), native, caller.owner) if keys else None
    return await make_job(services, caller, native, ticket, is_fresh=manner.wants_fresh)


async def _reply(
    services: Services, asked: Txt2Img, record: JobRecord, headers: dict[str, str]
) -> JSONResponse:
    """
    Raises:
        JobFailed: the job ended with an error.
        PictureExpired: its pictures are gone already.
        WaitInterrupted: this process stops before there are any.
    """
    if not record.state.is_final:
        raise WaitInterrupted(
            f"This process stops. Job {record.id} goes on, and a request with its seed "
            f"({record.request.seed}) is answered from it once it is done."
        )
    if record.error is not None:
        fault = record.error
        raise JobFailed(fault.code, fault.title, fault.detail, headers)
    view = Txt2ImgView(
        images=await _images(services, record) if asked.send_images else [],
        parameters=asked.echo,
        info=info_of(record, asked).model_dump_json(),
    )
    return JSONResponse(view.model_dump(), headers=headers)


async def _images(services: Services, record: JobRecord) -> list[str]:
    pictures = record.result.images if record.result is not None else []
    contents = [await picture_content(services, picture) for picture in pictures]
    return [base64.b64encode(content).decode() for content in contents]


async def _refuse() -> None:
    raise HTTPException(HTTPStatus.NOT_IMPLEMENTED, "This is not done here; txt2img is.")


for path in NOT_DONE:
    router.add_api_route(f"/sdapi/v1/{path}", _refuse, methods=["POST"])
