"""Values that the tests of webhooks share."""

import base64
from datetime import UTC, datetime
from ipaddress import ip_network

from contract.destinations import Destinations
from contract.webhooks import JobLinks, JobNews, PictureLink, WebhookEvent

KEYS = (b"k" * 24, b"an older one that still holds")
SECRETS = tuple(f"whsec_{base64.b64encode(key).decode()}" for key in KEYS)
HERE = Destinations(networks=(ip_network("127.0.0.1/32"),))
JOB_ID = "01a20cbb-88bd-7a27-b2ae-4323d6ddb518"
MESSAGE_ID = f"msg_{JOB_ID}"


def event() -> WebhookEvent:
    when = datetime(2026, 11, 24, 8, 45, 46, tzinfo=UTC)
    return WebhookEvent(
        type="job.succeeded",
        timestamp=when,
        data=JobNews(
            id=JOB_ID,
            state="succeeded",
            created_at=when,
            started_at=when,
            ended_at=when,
            images=[PictureLink(url=f"/jobs/{JOB_ID}/images/0", sha256="a", seed=7, bytes=3)],
            error=None,
            tags={"order": "größer"},
            links=JobLinks(self=f"/jobs/{JOB_ID}"),
        ),
    )
