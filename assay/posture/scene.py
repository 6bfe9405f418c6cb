"""Where posture is looked at: a platform, and what of its cluster can be seen besides its API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kubernetes import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from assay.platform import Platform


class Object(Protocol):
    """What a request was about."""

    @property
    def resource(self) -> str:
        """The resource, in the plural."""

    @property
    def name(self) -> str:
        """Which; empty: all of the kind."""


class Event(Protocol):
    """One request, as an audit log of Kubernetes (audit.k8s.io/v1) has it."""

    @property
    def verb(self) -> str:
        """As in RBAC."""

    @property
    def object_ref(self) -> Object | None:
        """What it was about; None: a path that is no resource."""


@dataclass(frozen=True)
class Scene:
    """What the probes look at.

    Attributes:
        platform: The platform.
        etcd: The folder of etcd's own files; None: they can't be read from here.
        audit: Gives the events of the API server's audit log as of now; None: there is no log that can be read.
    """

    platform: Platform
    etcd: Path | None = None
    audit: Callable[[], Iterable[Event]] | None = None

    @property
    def namespace(self) -> str:
        """The platform's."""
        return self.platform.namespace

    @property
    def core(self) -> Any:
        """Pods, services, secrets and so on."""
        return self.platform.core

    def api(self, kind: Any) -> Any:
        """Another of the client's APIs, such as `client.PolicyV1Api`."""
        return kind(self.platform.core.api_client)

    def plain(self, found: Any) -> Any:
        """An object of the client's as plain data (camel case, as in YAML)."""
        return self.platform.core.api_client.sanitize_for_serialization(found)

    def acting_as(self, account: str) -> Any:
        """The API of authorization, asked as this service account of the namespace.

        Its groups are those that the API server itself gives to a service account.
        """
        api = self.platform.connection().api_client
        api.set_default_header("Impersonate-User", f"system:serviceaccount:{self.namespace}:{account}")
        return client.AuthorizationV1Api(api)
