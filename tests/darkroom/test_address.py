import socket

import pytest

from contract.errors import BadSetting
from darkroom.address import local_url, usable_port


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.2", "http://127.0.0.2:8000"),
        ("example.org", "http://example.org:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
    ],
)
def test_who_listens_everywhere_is_asked_on_loopback(host: str, url: str) -> None:
    assert local_url(host, 8000) == url


def test_a_port_is_tried_where_it_will_be_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert usable_port("127.0.0.2", port, "PORT") == port
        with pytest.raises(BadSetting, match=f"PORT: 127.0.0.1:{port} cannot be listened on"):
            usable_port("127.0.0.1", port, "PORT")


def test_for_port_0_a_free_one_is_found() -> None:
    assert usable_port("127.0.0.1", 0, "PORT") > 0
