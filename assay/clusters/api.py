"""The embedded cluster's API server as its provider uses it: is it there, are its nodes, apply what it needs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kubernetes import client, config, dynamic
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from assay.clusters import addons
from assay.clusters.cluster import ClusterError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assay.clusters.addresses import Addresses
    from assay.clusters.prepared import Prepared

APPLY_SECONDS = 30.0
ANSWER_SECONDS = 5
FAILURES = (ApiException, HTTPError, OSError)


class Api:
    """The API server that a kubeconfig leads to."""

    def __init__(self, kubeconfig: Path) -> None:
        """Read the kubeconfig; nothing is asked yet."""
        self._kubeconfig = kubeconfig
        configuration = client.Configuration()
        config.load_kube_config(  # type: ignore[no-untyped-call]  # theirs
            config_file=str(kubeconfig), client_configuration=configuration
        )
        configuration.retries = False
        self._client = client.ApiClient(configuration)
        self._discovered: dynamic.DynamicClient | None = None

    def apply_addons(
        self, addresses: Addresses, prepared: Prepared, name_servers: Sequence[str], no_disks: str | None
    ) -> None:
        """Apply what every cluster needs (see `addons`); tried again while the API server is still starting up.

        Raises:
            ClusterError: it was still refused after 30 s.
        """
        documents = addons.documents(addresses, prepared, name_servers, no_disks)
        deadline = time.monotonic() + APPLY_SECONDS
        while True:
            try:
                self._apply(documents)
            except (*FAILURES, dynamic.exceptions.ResourceNotFoundError) as error:
                self._discovered = None  # what it learned of the API while that was starting may be too little
                if time.monotonic() > deadline:
                    raise ClusterError(f"the cluster's own objects could not be made: {error}") from error
                time.sleep(0.2)
            else:
                return

    def _apply(self, documents: Sequence[dict[str, Any]]) -> None:
        api = self._dynamic()
        for document in documents:
            resource = api.resources.get(api_version=document["apiVersion"], kind=document["kind"])
            api.server_side_apply(  # type: ignore[no-untyped-call]  # theirs
                resource,
                body=document,
                name=document["metadata"]["name"],
                namespace=document["metadata"].get("namespace"),
                field_manager=addons.MANAGER,
                force_conflicts=True,
            )

    def conditions(self) -> dict[str, bool]:
        """Each node that it knows, and whether it is Ready.

        Raises:
            one of FAILURES: it does not answer.
        """
        listed = self._get("/api/v1/nodes")["items"]
        return {
            node["metadata"]["name"]: any(
                one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", ())
            )
            for node in listed
        }

    def ready_nodes(self) -> frozenset[str]:
        """The nodes that are Ready; none if it does not answer."""
        try:
            return frozenset(name for name, ready in self.conditions().items() if ready)
        except FAILURES:
            return frozenset()

    def dns_ready(self) -> bool:
        """Whether cluster DNS answers on every node."""
        try:
            status = self._get("/apis/apps/v1/namespaces/kube-system/daemonsets/coredns").get("status", {})
        except FAILURES:
            return False
        return bool(status.get("numberReady")) and status["numberReady"] >= status["desiredNumberScheduled"]

    def _get(self, path: str) -> Any:
        return self._dynamic().request("GET", path, _request_timeout=ANSWER_SECONDS).to_dict()

    def _dynamic(self) -> dynamic.DynamicClient:
        if self._discovered is None:
            self._discovered = dynamic.DynamicClient(self._client)  # type: ignore[no-untyped-call]  # theirs
        return self._discovered


def node_conditions(kubeconfig: Path) -> dict[str, bool] | None:
    """Each node that the API server knows, and whether it is Ready; None if it does not answer."""
    try:
        return Api(kubeconfig).conditions()
    except (*FAILURES, config.ConfigException):
        return None
