"""Addresses on this machine: one that is free, and one that leads now here, now there."""

import socket
from contextlib import suppress
from threading import Thread
from types import TracebackType


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Address:
    """Leads to one server and then to another, as a service's name does.

    Takes connections and hands them on to the server that it leads to then; those that stand
    already stay where they are. Where nobody is, it hangs up.
    """

    def __init__(self, port: int):
        self._server = port
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.loses_answers = False
        """Whether commands come through, and the connection breaks instead of their answers."""
        Thread(target=self._accept, daemon=True).start()

    def lead_to(self, port: int) -> None:
        self._server = port

    def hang_up(self) -> None:
        """Breaks all connections that stand."""
        for each in self._sockets:
            _hang_up(each)

    def __enter__(self) -> "Address":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _hang_up(self._listener)
        self.hang_up()

    def _accept(self) -> None:
        with suppress(OSError):  # the end
            while True:
                self._connect(self._listener.accept()[0])

    def _connect(self, caller: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._server))
        except OSError:
            _hang_up(caller)
            return
        self._sockets += [caller, server]
        Thread(target=self._hand_on, args=(caller, server, False), daemon=True).start()
        Thread(target=self._hand_on, args=(server, caller, True), daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket, are_answers: bool) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                if are_answers and self.loses_answers:
                    break
                sink.sendall(content)
        _hang_up(source)
        _hang_up(sink)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
