import pytest

from darkroom.client.sse import EventParser, Sent

STREAM = (
    b"\xef\xbb\xbfid: 1-0\nevent: queued\ndata: {}\n\n"
    b": heartbeat\n\n"
    b"event: started\r\ndata:a\r\ndata: b \xe2\x80\xa8\r\n\r\n"
    b"id: 2-0\rdata: \xc3\xa9\r\r"
    b"event: without data\n\n"
    b"data: broken off\n"
)
EVENTS = [
    Sent("queued", "{}", "1-0"),
    Sent("started", "a\nb \u2028", "1-0"),
    Sent("message", "\u00e9", "2-0"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_are_the_same_however_the_bytes_come(size: int) -> None:
    parser = EventParser()
    chunks = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [sent for chunk in chunks for sent in parser.feed(chunk)] == EVENTS


def test_an_event_without_an_id_has_that_of_the_connection_before() -> None:
    assert EventParser("7-0").feed(b"data: x\n\n") == [Sent("message", "x", "7-0")]
