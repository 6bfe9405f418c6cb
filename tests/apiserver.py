"""A made-up API server that keeps what it is given and runs nothing: for what playbooks ask, tell and change."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

import yaml
from podexec import execute

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How it answers a namespace whose Pod Security level there isn't: as one that judges such labels, as one that does
#: not, or as to somebody who may not make namespaces.
Admission = Literal["judges", "takes", "forbids"]
Answer = tuple[int, dict[str, Any]]
CONTEXT: Final = "made-up"
#: The kinds that there are, by group and version, with whether they are in a namespace.
KINDS: Final = {
    "v1": {
        "Namespace": False, "ResourceQuota": True, "LimitRange": True, "Pod": True, "ServiceAccount": True,
        "Secret": True, "ConfigMap": True, "Service": True, "Node": False,
    },
    "apps/v1": {"Deployment": True, "StatefulSet": True},
    "policy/v1": {"PodDisruptionBudget": True},
    "networking.k8s.io/v1": {"NetworkPolicy": True},
    "rbac.authorization.k8s.io/v1": {"Role": True, "RoleBinding": True},
    "scheduling.k8s.io/v1": {"PriorityClass": False},
}  # fmt: skip
_LABEL: Final = "pod-security.kubernetes.io/enforce"
_VERBS: Final = ("create", "delete", "get", "list", "patch", "update")


def _plural(kind: str) -> str:
    word = kind.lower()
    return {"networkpolicy": "networkpolicies", "priorityclass": "priorityclasses"}.get(word, f"{word}s")


def _discovery() -> dict[str, dict[str, Any]]:
    """What it says of itself, by path."""
    named = [version for version in KINDS if "/" in version]
    groups = [
        {"name": version.partition("/")[0], "versions": [{"groupVersion": version, "version": "v1"}],
         "preferredVersion": {"groupVersion": version, "version": "v1"}}
        for version in named
    ]  # fmt: skip
    said: dict[str, dict[str, Any]] = {
        "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.3"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "groups": groups},
    }
    for version, kinds in KINDS.items():
        resources = [
            {"name": _plural(kind), "singularName": "", "namespaced": within, "kind": kind, "verbs": _VERBS}
            for kind, within in kinds.items()
        ]
        path = f"/apis/{version}" if version in named else f"/api/{version}"
        said[path] = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
    return said


def _place(path: str) -> str:
    """Where an object is kept: below its namespace, whatever its group, so that it goes with it."""
    return re.sub(r"^/apis/([^/]+)/v1/namespaces/([^/]+)/(.+)", r"/api/v1/namespaces/\2/\3", path)


def status(code: int, reason: str, message: str) -> Answer:
    """A refusal, as Kubernetes says it."""
    failed = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {}}
    return code, {**failed, "code": code, "reason": reason, "message": message}


class Store:
    """The objects by path.

    Attributes:
        admission: See `Admission`.
        objects: What is kept.
        written: What was written in earnest, as `verb path`; a write without effect is none.
        versions: Every version of an object that was kept, in this order.
        told: What was told to commands in pods, as the whole path asked for, and the input.
        failure: Why such commands fail; empty: they succeed.
        refused: What is answered to whoever writes an object of a kind; without one it is taken.
    """

    def __init__(self, admission: Admission) -> None:
        """Begin with nothing."""
        self.admission = admission
        self.objects: dict[str, dict[str, Any]] = {}
        self.written: list[str] = []
        self.versions: list[dict[str, Any]] = []
        self.told: list[tuple[str, str]] = []
        self.failure = ""
        self.refused: dict[str, Answer] = {}
        self._discovery = _discovery()
        self._versions = count(1)

    def get(self, path: str, query: dict[str, list[str]]) -> Answer:
        """An object, or the list of those below a path that have the labels."""
        if path in self._discovery:
            return 200, self._discovery[path]
        if path in self.objects:
            return 200, self.objects[path]
        *_, last = path.split("/")
        kind = next((kind for kinds in KINDS.values() for kind in kinds if _plural(kind) == last), None)
        if kind is None:
            return status(404, "NotFound", f"{path} is not found")
        wanted = dict(one.split("=") for text in query.get("labelSelector", []) for one in text.split(",") if one)
        pattern = re.compile(re.escape(path) + "/[^/]+")
        found = [
            one
            for place, one in self.objects.items()
            if pattern.fullmatch(place) and wanted.items() <= one["metadata"].get("labels", {}).items()
        ]
        version = next(version for version, kinds in KINDS.items() if kind in kinds)
        return 200, {"kind": f"{kind}List", "apiVersion": version, "metadata": {}, "items": found}

    def put(self, verb: str, path: str, given: dict[str, Any], *, dry: bool) -> Answer:
        """Make or apply an object."""
        name = given["metadata"]["name"]
        if given["kind"] in self.refused:
            return self.refused[given["kind"]]
        refused = self._admit(given) if path.startswith("/api/v1/namespaces") and given["kind"] == "Namespace" else None
        if refused:
            return refused
        place = path if path.endswith(f"/{name}") else f"{path}/{name}"
        before = self.objects.get(place)
        uid = before["metadata"]["uid"] if before else f"uid-{next(self._versions)}"
        after = {**given, "metadata": {**given["metadata"], "uid": uid, "resourceVersion": "0"}}
        if "replicas" in given.get("spec", {}):
            counts = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
            after["metadata"]["generation"] = 1
            after["status"] = {"observedGeneration": 1, **dict.fromkeys(counts, given["spec"]["replicas"])}
        if before and {**before, "metadata": {**before["metadata"], "resourceVersion": "0"}} == after:
            return 200, before
        after["metadata"]["resourceVersion"] = str(next(self._versions))
        if not dry:
            self.objects[place] = after
            self.written.append(f"{verb} {place}")
            self.versions.append(after)
        return (200 if before else 201), after

    def delete(self, path: str, *, dry: bool) -> Answer:
        """Remove an object; a namespace with all that is in it."""
        gone = [place for place in self.objects if place == path or place.startswith(self._within(path))]
        if path not in self.objects:
            return status(404, "NotFound", f"{path} is not found")
        found = self.objects[path]
        if not dry:
            self.objects = {place: one for place, one in self.objects.items() if place not in gone}
            self.written.append(f"DELETE {path}")
        return 200, found

    def _within(self, path: str) -> str:
        return f"{path}/" if re.fullmatch(r"/api/v1/namespaces/[^/]+", path) else "nothing"

    def _admit(self, namespace: dict[str, Any]) -> Answer | None:
        """The refusal of a namespace, in the words of RBAC and of k8s.io/pod-security-admission."""
        name, level = namespace["metadata"]["name"], namespace["metadata"].get("labels", {}).get(_LABEL, "privileged")
        if self.admission == "forbids":
            return status(403, "Forbidden", 'namespaces is forbidden: User "us" cannot create resource "namespaces"')
        if self.admission == "judges" and level not in {"privileged", "baseline", "restricted"}:
            said = f'Invalid value: "{level}": must be one of privileged, baseline, restricted'
            return status(422, "Invalid", f'Namespace "{name}" is invalid: metadata.labels[{_LABEL}]: {said}')
        return None


@contextmanager
def serving(folder: Path, admission: Admission) -> Iterator[tuple[Path, Store]]:
    """Serve one; its kubeconfig (context `made-up`), and what it keeps."""
    store = Store(admission)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            dry = query.get("dryRun") == ["All"]
            path = _place(parts.path)
            if self.headers.get("Upgrade") == "websocket":
                store.told.append((self.path, execute(self, "\\quit\n", store.failure)))
                return
            if self.command == "GET":
                code, document = store.get(path, query)
            elif self.command == "DELETE":
                code, document = store.delete(path, dry=dry)
            else:
                code, document = store.put(self.command, path, yaml.safe_load(given), dry=dry)
            body = json.dumps(document, separators=(",", ":")).encode()  # as Kubernetes writes it
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815  # names that the base class looks for

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kubeconfig = folder / "made-up.kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(f"http://127.0.0.1:{server.server_address[1]}")))
        try:
            yield kubeconfig, store
        finally:
            server.shutdown()


def _kubeconfig(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": {"server": url}}],
        "users": [{"name": "us", "user": {}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": "us"}}],
    }
