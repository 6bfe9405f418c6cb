"""The server's end of a command in a made-up pod: it takes the input over a WebSocket, and says how it went.

As in Kubernetes' v4.channel.k8s.io (k8s.io/apimachinery, remotecommand) over RFC 6455: the first byte of a message is
its channel, 0 for the input, 2 for errors and 3 for how it ended.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from typing import BinaryIO

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY: Final = 0x82
_CLOSE: Final = 0x88
#: Where a frame says its length, this says that it follows in two bytes.
_EXTENDED: Final = 126
_ERRORS: Final = b"\x02"
_OUTCOME: Final = b"\x03"


def execute(request: BaseHTTPRequestHandler, last: str, failure: str) -> str:
    """Answer a request for a command that reads its input until it ends with `last`; returns the input.

    It succeeds, or prints why it does not.
    """
    key = request.headers["Sec-WebSocket-Key"] + _GUID
    accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
    head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    head += [f"Sec-WebSocket-Accept: {accept}", "Sec-WebSocket-Protocol: v4.channel.k8s.io", "", ""]
    request.wfile.write("\r\n".join(head).encode())
    text = ""
    while not text.endswith(last):
        message = _message(request.rfile)
        text += message[1:].decode() if message[:1] == b"\0" else ""
    outcome = {"status": "Failure", "details": {"causes": [{"message": "3"}]}} if failure else {"status": "Success"}
    messages = (_ERRORS + failure.encode(), _OUTCOME + json.dumps(outcome).encode())
    for kind, content in (*((_BINARY, message) for message in messages), (_CLOSE, b"")):
        request.wfile.write(bytes([kind, len(content)]) + content)
    request.close_connection = True
    return text


def _message(stream: BinaryIO) -> bytes:
    """A message of the client's: at most 64 KiB, in one frame, masked."""
    read = stream.read
    length = read(2)[1] & 0x7F
    if length == _EXTENDED:
        (length,) = struct.unpack("!H", read(2))
    mask = read(4)
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(read(length)))
