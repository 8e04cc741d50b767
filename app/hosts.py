"""By which names the API lets itself be asked, and from which pages: browsers ask for whatever page
they show, from inside of the network that they are in.

A page of the web can have its own name lead to our address (DNS rebinding), and then reads our
answers as its own. The browser still says the name. Nobody on the web can have an address for a
name, nor one without a dot, which no registry gives away.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from app.settings import AppSettings
from contract.destinations import Destinations, literal_address
from contract.errors import CrossSite, HostRefused

HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})


def require_own_host(headers: Mapping[str, str], settings: AppSettings) -> None:
    """
    Raises:
        HostRefused: the caller was led here by a name that may be anybody's.
    """
    name = _name("//" + headers.get("host", ""))
    if "." not in name or name.endswith(".localhost") or literal_address(name) is not None:
        return
    told = (settings.host, _name(settings.public_url), *settings.allowed_hosts)
    if not Destinations(tuple(each.lower() for each in told)).allows_host(name):
        raise HostRefused(
            "Where no keys are needed, this service is asked by its address, or by a name in "
            "DARKROOM_ALLOWED_HOSTS.",
            field="Host",
        )


def require_own_page(method: str, headers: Mapping[str, str], *, needs_keys: bool) -> None:
    """Browsers say of which page a request is only where the connection is safe, and else name the
    page's origin. That is looked at only where there are no keys: a proxy may have changed the
    name that was asked, and a page that has a key was given it.

    Raises:
        CrossSite: a page of another site would change something.
    """
    if method in HARMLESS:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    is_other = site == "cross-site"
    if site is None and origin is not None and not needs_keys:
        is_other = _name(origin) != _name("//" + headers.get("host", ""))
    if is_other:
        raise CrossSite("Pages of other sites may not ask for this.")


def _name(url: str) -> str:
    """The host of a URL; empty where there is none. One that cannot be read is no name of ours."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return "."
