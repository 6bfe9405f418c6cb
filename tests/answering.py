"""API servers that are made up: what they answer is said in a test."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import yaml

from assay.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Refusing(BaseHTTPRequestHandler):
    """An API server that refuses everything."""

    protocol_version = "HTTP/1.1"

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and document."""
        del method, path, body
        return 403, {"kind": "Status", "message": "forbidden: you may do nothing", "code": 403}

    def handle_request(self) -> None:
        """Read, answer."""
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        status, document = self.answer(self.command, self.path.partition("?")[0].rstrip("/"), body)
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = handle_request  # noqa: N815  # as the base class calls them

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def platform(folder: Path, handler: type[Refusing]) -> Iterator[Platform]:
    """A platform whose API server this is; its kubeconfig is written into the folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "made-up",
        "contexts": [{"name": "made-up", "context": {"cluster": "made-up", "user": "made-up"}}],
        "clusters": [{"name": "made-up", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "made-up", "user": {}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(document))
    try:
        yield Platform(folder / "kubeconfig", "made-up")
    finally:
        server.shutdown()
        server.server_close()
