"""Whether the API can be reached at the address that others are given."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator

from darkroom.doctor.finding import Finding, fail, ok
from darkroom.settings import ClientSettings

LIMIT_S = 5.0


def check_reach(settings: ClientSettings) -> Iterator[Finding]:
    if not settings.url:
        return
    url = f"{settings.url.rstrip('/')}/readyz"
    remedy = "Start it, or let DARKROOM_URL name where it is; its log says what it lacks."
    try:
        with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
            workers = json.load(answer)["workers"]
    except urllib.error.HTTPError as error:
        yield fail(f"DARKROOM_URL: {url} answers {error.code}.", remedy)
    except (OSError, ValueError, http.client.HTTPException) as error:
        yield fail(f"DARKROOM_URL: {url} cannot be asked: {error}.", remedy)
    except (LookupError, TypeError):
        yield fail(f"DARKROOM_URL: what answers at {url} is no darkroom.", remedy)
    else:
        yield ok(f"The API at {settings.url} is ready, and sees {len(workers)} live workers.")
