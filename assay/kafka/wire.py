"""One request to Kafka in its own protocol, for what librdkafka or its Python binding can't ask.

A request is made, and its answer read, by whoever asks; here it is only carried, as whoever we are to Kafka.
"""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from assay.errors import AssayError
from assay.kafka import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
#: How long one broker may take to answer, in seconds.
ANSWER_SECONDS: Final = 3.0
#: How we call ourselves.
_CLIENT: Final = b"assay"
_LONGEST_ANSWER: Final = 1 << 20


def header(key: int, version: int) -> bytes:
    """What a request begins with: which API, in which version, and who asks; flexible versions add tagged fields."""
    return struct.pack(f">hhih{len(_CLIENT)}s", key, version, 1, len(_CLIENT), _CLIENT)


def ask(bootstrap: str, request: bytes, read: Callable[[bytes], T], doing: str, seconds: float = ANSWER_SECONDS) -> T:
    """What the first broker that answers says.

    Args:
        bootstrap: Addresses of brokers, `host:port,...`; asked one after another.
        request: The request, without its length.
        read: Makes something of the response without its length; an `AssayError` passes on to the next broker.
        doing: What it is for, as in "... failed".
        seconds: How long each may take.

    Raises:
        AssayError: None of them says.
    """
    said = "it names no broker"
    for address in bootstrap.split(","):
        host, _, port = address.rpartition(":")
        try:
            with _connected(host, int(port), seconds) as connection:
                connection.sendall(struct.pack(">i", len(request)) + request)
                return read(_message(connection))
        except (OSError, ValueError, AssayError) as error:
            said = f"{address}: {error}"
    raise AssayError(f"Kafka at {bootstrap}: {doing} failed ({said}).")


@contextmanager
def _connected(host: str, port: int, seconds: float) -> Iterator[socket.socket]:
    """A connection as whoever we are to Kafka; each send and receive may take so long."""
    ours = identity.read()
    with socket.create_connection((host, port), timeout=seconds) as plain:
        if ours is None:
            yield plain
        else:
            with ours.context().wrap_socket(plain, server_hostname=host) as guarded:
                yield guarded


def _message(connection: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    if not 0 < size <= _LONGEST_ANSWER:
        raise AssayError("what answers is not Kafka")
    return _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        part = connection.recv(size - len(read))
        if not part:
            raise AssayError("the connection was closed")
        read += part
    return read
