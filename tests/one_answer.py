"""A server that gives one connection one answer, and keeps what it was asked."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


def serve(listening: socket.socket, reply: bytes, asked: list[bytes]) -> threading.Thread:
    """Answer the next connection of a socket that listens; the thread ends when that is done."""

    def work() -> None:
        connection, _ = listening.accept()
        with connection:
            asked.append(connection.recv(1000))
            connection.sendall(reply)

    thread = threading.Thread(target=work)
    thread.start()
    return thread
