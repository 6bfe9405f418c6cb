"""A cluster that exists already, reached by kubeconfig and context. It is used, and never made or removed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from assay.clusters import api, kubeconfig
from assay.clusters.cluster import ClusterError, ClusterStatus, NodeStatus
from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

REACH_SECONDS = 5
_LOGGED = ("/api/v1/nodes", "/api/v1/events", "/api/v1/pods")


class ExistingCluster:
    """The cluster that a context of a kubeconfig leads to; see `assay.clusters.cluster.Cluster`."""

    def __init__(self, paths: Sequence[Path], context: str | None, folder: Path) -> None:
        """Find the context and write it, alone, into a file of its own, so that no tool has to merge files.

        Args:
            paths: kubeconfig files, merged as `kubectl` does.
            context: the context's name; None means the current one.
            folder: where the file is written (`<context>.kubeconfig`), private to its owner.

        Raises:
            UsageError: no kubeconfig, or no such context in it.
        """
        document = kubeconfig.minify(kubeconfig.merge(paths), context)
        self._context: str = document["current-context"]
        self._server: str = document["clusters"][0].get("cluster", {}).get("server", "an unnamed server")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        safe = re.sub(r"[^A-Za-z0-9.-]", "_", self._context)
        self._kubeconfig = kubeconfig.write(document, folder / f"{safe}.kubeconfig")

    @property
    def name(self) -> str:
        """The context's name."""
        return self._context

    @property
    def kubeconfig(self) -> Path:
        """The file with this context alone."""
        return self._kubeconfig

    @property
    def context(self) -> str:
        """The context's name."""
        return self._context

    @property
    def audit_log(self) -> None:
        """Out of reach: whether there is one, and where, only the cluster's operator knows."""

    @property
    def clients(self) -> tuple[str, ...]:
        """Not known: what lies between this machine and its nodes may give our connections other addresses."""
        return ()

    def available(self) -> str | None:
        """Why the cluster can't be used, in one sentence: its API server does not answer within 5 s, or refuses us."""
        try:
            self._get("/version")
        except ApiException as error:
            return (
                f"the API server of context {self._context!r} ({self._server}) answers {error.status} {error.reason}: "
                "renew the credentials in the kubeconfig"
            )
        except config.ConfigException as error:
            return f"context {self._context!r} can't be used: {error}"
        except (HTTPError, OSError) as error:
            return (
                f"the API server of context {self._context!r} ({self._server}) does not answer within "
                f"{REACH_SECONDS} s ({_cause(error)}); is the cluster up, and is that its address?"
            )
        return None

    def create(self) -> None:
        """Check that it answers.

        Raises:
            UsageError: it does not.
        """
        reason = self.available()
        if reason:
            raise UsageError(reason)

    def load_images(self, archives: Sequence[Path]) -> None:
        """Not possible from outside: an existing cluster pulls its images from a registry.

        Raises:
            UsageError: always, if there is an archive.
        """
        if archives:
            raise UsageError(
                f"images can't be loaded into the existing cluster of context {self._context!r}: push them to a "
                "registry that it pulls from"
            )

    def logs(self, folder: Path) -> None:
        """Write what the cluster says of its nodes, pods and events (JSON) into the folder.

        Raises:
            ClusterError: it does not answer.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for path in _LOGGED:
            try:
                text = self._get(path)
            except (ApiException, HTTPError, OSError) as error:
                raise ClusterError(f"{path} of context {self._context!r} can't be read: {_cause(error)}") from error
            (folder / f"{path.rpartition('/')[2]}.json").write_text(json.dumps(json.loads(text), indent=1))

    def status(self) -> ClusterStatus:
        """The cluster as it is now."""
        nodes = api.node_conditions(self._kubeconfig)
        return ClusterStatus(
            self._context,
            "existing",
            "partial" if nodes is None else "up",
            tuple(NodeStatus(name, "", None, ready) for name, ready in (nodes or {}).items()),
            self._kubeconfig,
            self._context,
        )

    def delete(self) -> None:
        """Leave the cluster alone: it isn't ours."""

    def _get(self, path: str) -> str:
        configuration = client.Configuration()
        config.load_kube_config(  # type: ignore[no-untyped-call]  # theirs
            config_file=str(self._kubeconfig), client_configuration=configuration
        )
        configuration.retries = False
        with client.ApiClient(configuration) as connection:
            response = connection.call_api(
                "GET", configuration.host + path, connection.default_headers, _request_timeout=REACH_SECONDS
            )
            response.read()
            return str(response.data, "utf-8")


def _cause(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", None) or error).split())[:200]
