"""The platform under test, seen through its Kubernetes API: where Kafka is, which pods serve, how they are made.

Every call is bound to one explicit kubeconfig file and context; nothing is read from the environment here, since tools
that guess a cluster have been seen to guess another one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

NAMESPACE: Final = "production"
TOPIC: Final = "commodity-prices"
REJECTS: Final = "commodity-price-rejects"
DEAD_LETTERS: Final = "commodity-prices-dlq"
GROUP: Final = "commodity-analytics"
PARTITIONS: Final = 3
ETL: Final = "commodity-price-pipeline"
ANALYTICS: Final = "commodity-analytics-consumer"
#: Unauthorized, and forbidden.
_REFUSALS: Final = frozenset({401, 403})
_COMPONENT: Final = "app.kubernetes.io/component"


class RefusedError(client.ApiException, AssayError):
    """The API server does not let us: a sentence for users wherever nobody on the way has a better one."""

    def __str__(self) -> str:
        """What was refused, in the API server's words, and what to do."""
        return f"The API server refuses it: {reason(self)}. `assay rights` prints which rights are needed."


class _Connection(client.ApiClient):
    """A connection on which what we may not do is an error of the user's."""

    def response_deserialize(self, *given: Any, **named: Any) -> Any:
        try:
            return super().response_deserialize(*given, **named)
        except client.ApiException as error:
            if error.status not in _REFUSALS:
                raise
            raise RefusedError(error.status, error.reason, body=error.body) from None


class Platform:
    """One deployed platform: a namespace of one cluster."""

    def __init__(self, kubeconfig: Path, context: str, namespace: str = NAMESPACE) -> None:
        """Connect lazily: nothing is asked of the API server yet.

        Raises:
            UsageError: The kubeconfig is unreadable or has no such context.
        """
        try:
            configuration: Any = client.Configuration()
            config.load_kube_config(  # type: ignore[no-untyped-call]  # the client's own gap
                config_file=str(kubeconfig), context=context, client_configuration=configuration
            )
        except (ConfigException, OSError) as error:
            raise UsageError(
                f"The context {context!r} can't be used from {kubeconfig}: {error}. Name one with --context."
            ) from None
        configuration.retries = urllib3.Retry(total=2, backoff_factor=0.2, allowed_methods=["GET"])
        self.kubeconfig = kubeconfig
        self.context = context
        self.namespace = namespace
        # Any: the client's models make every field Optional, also those that the API server guarantees.
        api: Any = _Connection(configuration)
        self.core: Any = client.CoreV1Api(api)
        self.apps: Any = client.AppsV1Api(api)
        self.batch: Any = client.BatchV1Api(api)
        self._configuration = configuration
        self._server = str(configuration.host)

    def connection(self) -> Any:
        """A core API with a connection of its own: an exec changes the connection it uses, so it can't be shared."""
        return client.CoreV1Api(_Connection(self._configuration))

    def check(self) -> str:
        """The API server's version.

        Raises:
            AssayError: It does not answer within 5 s, or has no such namespace.
        """
        try:
            version = client.VersionApi(self.core.api_client).get_code(_request_timeout=5)
        except (urllib3.exceptions.HTTPError, client.ApiException) as error:
            raise AssayError(
                f"The cluster {self.context!r} at {self._server} does not answer ({reason(error)}): "
                "is it up, and is this its kubeconfig?"
            ) from None
        try:
            self.core.read_namespace(self.namespace, _request_timeout=5)
        except client.ApiException as error:
            raise AssayError(
                f"The cluster {self.context!r} has no usable namespace {self.namespace!r} ({reason(error)}): "
                "provision the platform first with `assay deploy`."
            ) from None
        return str(version.git_version)

    def pods(self, component: str, *, leaving: bool = False) -> list[Any]:
        """The pods of a component, by name; those that are being deleted only if `leaving`."""
        found = self.core.list_namespaced_pod(self.namespace, label_selector=f"{_COMPONENT}={component}").items
        return sorted(
            (pod for pod in found if leaving or pod.metadata.deletion_timestamp is None),
            key=lambda pod: str(pod.metadata.name),
        )

    def bootstrap(self) -> str:
        """Kafka's addresses for clients outside the cluster, as librdkafka's `bootstrap.servers`.

        Each broker has a NodePort service of its own and advertises its node's address with that port.

        Raises:
            AssayError: The platform has no such services, or no broker has a node.
        """
        services = self.core.list_namespaced_service(
            self.namespace, label_selector=f"{_COMPONENT} in (kafka, kafka-external)"
        ).items
        ports = {
            (service.spec.selector or {}).get("statefulset.kubernetes.io/pod-name"): port.node_port
            for service in services
            for port in service.spec.ports
            if port.node_port
        }
        addresses = [
            f"{pod.status.host_ip}:{ports[pod.metadata.name]}"
            for pod in self.pods("kafka")
            if pod.metadata.name in ports and pod.status.host_ip
        ]
        if not addresses:
            raise AssayError(
                f"No Kafka broker can be reached from outside in {self.context}/{self.namespace}: "
                "there is no broker pod with a NodePort service; provision the platform with `assay deploy`."
            )
        return ",".join(addresses)

    def template(self, kind: str, name: str) -> dict[str, Any]:
        """The pod template of a Deployment or a CronJob, as plain data (camel case, as in YAML).

        Raises:
            AssayError: There is no such object.
        """
        try:
            if kind == "CronJob":
                found = self.batch.read_namespaced_cron_job(name, self.namespace).spec.job_template.spec.template
            else:
                found = self.apps.read_namespaced_deployment(name, self.namespace).spec.template
        except client.ApiException as error:
            raise AssayError(
                f"There is no {kind} {name} in {self.context}/{self.namespace} ({reason(error)}): "
                "provision the platform with `assay deploy`."
            ) from None
        plain: dict[str, Any] = self.core.api_client.sanitize_for_serialization(found)
        return plain


def reason(error: Exception) -> str:
    """The shortest true account of a failed API call."""
    if isinstance(error, client.ApiException):
        try:
            return str(json.loads(error.body or "")["message"])
        except (TypeError, ValueError, KeyError):
            return f"{error.status} {error.reason}"
    if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        return str(error.reason).split(": ", 1)[-1]
    return str(error)
