"""docs/webhooks.md shows a receiver how to verify what it gets."""

import re
import time
from pathlib import Path
from typing import Any

from courier.schedule import INTERVALS_S
from courier.signature import sign
from tests.courier.samples import KEYS, SECRETS, event

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def test_the_example_tells_ours_from_others() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    now, body = int(time.time()), event().body("")
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(KEYS, "msg_1", now, body),
    }
    assert names["told"](SECRETS[1], headers, body)["type"] == "job.succeeded"
    assert names["told"](SECRETS[1], headers, body + b" ") is None


def test_the_pauses_are_those_of_the_code() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    (line,) = re.findall(r"Again means after (.*?), each", PAGE)
    pauses = [int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", line)]
    assert tuple(pauses) == INTERVALS_S
