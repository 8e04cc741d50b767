"""The API's page at /docs: Swagger UI's own files, which a package carries, and some lines of ours.

They come from here and from no other host, because what runs on this page could read the key that
the page at `/` keeps.
"""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from app.page.file import File

PAGE = "docs.html"
OURS = (PAGE, "start.js")
SWAGGER_UI = ("swagger-ui-bundle.js", "swagger-ui.css")


def api_page_files() -> Mapping[str, File]:
    """By name."""
    ours, theirs = Path(__file__).parent / "docs", resources.files("fastapi_swagger.resources")
    paths = [*(ours / name for name in OURS), *(theirs / name for name in SWAGGER_UI)]
    return MappingProxyType({path.name: File.read(path) for path in paths})
