"""Consent: who may be harmed has said so, three times over; against a literal API."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes import client

from assay.chaos import consent
from assay.errors import AssayError, UsageError

YES, NO = {consent.LABEL: "allowed"}, {consent.LABEL: "refused"}


def _pod(name: str, labels: dict[str, str] | None, namespace: str = "production", node: str = "node-1") -> Any:
    owner = SimpleNamespace(controller=True, kind="StatefulSet", name="kafka")
    metadata = SimpleNamespace(name=name, namespace=namespace, labels=labels, owner_references=[owner])
    return SimpleNamespace(metadata=metadata, spec=SimpleNamespace(node_name=node))


class Api:
    """A namespace with these labels, and these pods."""

    def __init__(self, labels: dict[str, str] | None, *pods: Any) -> None:
        """Hold them."""
        self._labels, self._pods = labels, pods

    def read_namespace(self, name: str) -> Any:
        """The namespace."""
        return SimpleNamespace(metadata=SimpleNamespace(name=name, labels=self._labels))

    def read_namespaced_pod(self, name: str, namespace: str) -> Any:
        """One pod, or what the real API says of one that is not there."""
        for pod in self._pods:
            if (pod.metadata.name, pod.metadata.namespace) == (name, namespace):
                return pod
        raise client.ApiException(status=404, reason="Not Found")

    def list_namespaced_pod(self, namespace: str) -> Any:
        """The pods of a namespace."""
        return SimpleNamespace(items=[pod for pod in self._pods if pod.metadata.namespace == namespace])

    def list_pod_for_all_namespaces(self, field_selector: str = "") -> Any:
        """The pods of a node, or all."""
        node = field_selector.removeprefix("spec.nodeName=")
        return SimpleNamespace(items=[pod for pod in self._pods if node in ("", pod.spec.node_name)])


def platform(labels: dict[str, str] | None, *pods: Any) -> Any:
    """A platform on such an API."""
    return SimpleNamespace(core=Api(labels, *pods), namespace="production", context="theirs")


def test_a_context_is_named_or_ours() -> None:
    """And the sentence says how to name it."""
    consent.check_context("theirs", {"theirs"}, ours=False)
    consent.check_context("assay-x", (), ours=True)
    with pytest.raises(UsageError, match=r"^The context 'theirs' .*ASSAY_CHAOS_CONTEXTS=theirs\.$"):
        consent.check_context("theirs", {"others"}, ours=False)


@pytest.mark.parametrize("labels", [None, {}, NO, {consent.LABEL: "Allowed"}])
def test_a_namespace_that_does_not_say_so_does_not_consent(labels: dict[str, str] | None) -> None:
    """Silence is a refusal."""
    consent.check_namespace(platform(YES))
    with pytest.raises(UsageError, match=r"^The namespace production of theirs does not consent .*allowed"):
        consent.check_namespace(platform(labels))


def test_every_pod_that_is_hit_consents() -> None:
    """One of several that does not is enough to refuse all."""
    there = platform(YES, _pod("a", YES), _pod("b", YES), _pod("c", NO), _pod("d", None))
    consent.check_target(there, "pod/a+pod/b")
    for target, named in (("pod/a+pod/c", "c"), ("pod/d", "d")):
        with pytest.raises(UsageError, match=rf"^The pod {named} in production does not consent"):
            consent.check_target(there, target)


def test_a_node_is_harmed_with_all_its_pods() -> None:
    """Whoever else lives on it must consent too; what runs the node itself need not."""
    ours = [_pod("a", YES), _pod("coredns", None, "kube-system"), _pod("x", None, "elsewhere", "node-2")]
    consent.check_target(platform(YES, *ours), "node/node-1")
    with pytest.raises(UsageError, match=r"^The pod x in elsewhere does not consent"):
        consent.check_target(platform(YES, *ours), "node/node-2")


def test_whom_a_foreign_tool_may_choose_from_consents_as_a_whole() -> None:
    """In the platform's namespace, or, for what it does to nodes, everywhere."""
    there = platform(YES, _pod("a", YES), _pod("x", None, "elsewhere"), _pod("coredns", None, "kube-system"))
    consent.check_everybody(there, {"production"})
    with pytest.raises(UsageError, match=r"^The pod x in elsewhere does not consent"):
        consent.check_everybody(there, ())
    with pytest.raises(UsageError, match=r"^The namespace default is not the one under test \(production\)"):
        consent.check_everybody(there, {"default"})
    with pytest.raises(UsageError, match=r"^The pod b in production does not consent"):
        consent.check_everybody(platform(YES, _pod("a", YES), _pod("b", NO)), {"production"})


def test_an_owner_is_harmed_with_all_its_pods() -> None:
    """One after another, say."""
    consent.check_target(platform(YES, _pod("kafka-0", YES)), "statefulset/kafka")
    with pytest.raises(UsageError, match=r"^The pod kafka-1 in production does not consent"):
        consent.check_target(platform(YES, _pod("kafka-0", YES), _pod("kafka-1", NO)), "statefulset/kafka")


@pytest.mark.parametrize("target", ["", "production", "pod/", "volume/x", "statefulset/", "node/empty"])
def test_what_nobody_can_consent_for_is_refused(target: str) -> None:
    """Rather than taken for granted."""
    with pytest.raises(UsageError, match="nobody can consent for it"):
        consent.check_target(platform(YES), target)


def test_what_cannot_be_asked_is_not_granted() -> None:
    """A pod that is gone meanwhile, say."""
    with pytest.raises(AssayError, match=r"^Whether pod/a may be harmed can't be asked: 404 Not Found\.$"):
        consent.check_target(platform(YES), "pod/a")
