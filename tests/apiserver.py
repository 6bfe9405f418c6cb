"""A made-up API server that knows namespaces and nothing else, for what a playbook finds out before it changes anything."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How it answers a namespace whose Pod Security level there isn't: as one that judges such labels, as one that does not,
#: or as to somebody who may not make namespaces.
Admission = Literal["judges", "takes", "forbids"]
CONTEXT: Final = "made-up"
_LABEL: Final = "pod-security.kubernetes.io/enforce"
_VERBS: Final = ["create", "delete", "get", "list", "patch", "update"]
_KNOWN: Final[dict[str, dict[str, Any]]] = {
    "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.3"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": "namespaces", "singularName": "", "namespaced": False, "kind": "Namespace", "verbs": _VERBS}
        ],
    },
}


def _status(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    return code, {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
    }  # fmt: skip


def _offered(namespace: dict[str, Any], admission: Admission) -> tuple[int, dict[str, Any]]:
    """The answer to a new namespace, in the words of k8s.io/pod-security-admission and of RBAC."""
    name = namespace["metadata"]["name"]
    level = namespace["metadata"].get("labels", {}).get(_LABEL, "privileged")
    if admission == "forbids":
        return _status(403, "Forbidden", 'namespaces is forbidden: User "us" cannot create resource "namespaces"')
    if admission == "judges" and level not in {"privileged", "baseline", "restricted"}:
        said = f'Invalid value: "{level}": must be one of privileged, baseline, restricted'
        return _status(422, "Invalid", f'Namespace "{name}" is invalid: metadata.labels[{_LABEL}]: {said}')
    return 201, namespace


@contextmanager
def serving(folder: Path, admission: Admission) -> Iterator[tuple[Path, list[str]]]:
    """Serve it; its kubeconfig (context `made-up`), and what was written to it in earnest, as `verb path`."""
    written: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _send(self, code: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:  # the base class' name
            path = urlsplit(self.path).path
            known = _KNOWN.get(path)
            self._send(*((200, known) if known else _status(404, "NotFound", f"{path} is not found")))

        def do_POST(self) -> None:  # the base class' name
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if parse_qs(urlsplit(self.path).query).get("dryRun") != ["All"]:
                written.append(f"POST {self.path}")
            self._send(*_offered(given, admission))

        do_PATCH = do_PUT = do_DELETE = do_POST

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kubeconfig = folder / "made-up.kubeconfig"
        cluster = {"server": f"http://127.0.0.1:{server.server_address[1]}"}
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": CONTEXT,
                    "clusters": [{"name": CONTEXT, "cluster": cluster}],
                    "users": [{"name": "us", "user": {}}],
                    "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": "us"}}],
                }
            )
        )
        try:
            yield kubeconfig, written
        finally:
            server.shutdown()
