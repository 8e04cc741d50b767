"""What the API is measured beside: a plain FastAPI route that does one RQ enqueue.

python benchmarks/plain_api.py REDIS_URL PORT
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from redis import Redis
from rq import Queue


class Asked(BaseModel):
    prompt: str
    steps: int = 30
    seed: int | None = None


def create_app(redis_url: str) -> FastAPI:
    app = FastAPI()
    queue = Queue("plain", connection=Redis.from_url(redis_url))

    @app.post("/generate", status_code=202)
    def generate(asked: Asked) -> dict[str, str]:
        job = queue.enqueue("worker.tasks.generate", asked.model_dump())
        return {"id": job.id}

    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False
    )
