"""Network policies as they are written: default deny both ways, each intended rule there, and nothing else allowed.

What policies allow is worked out for sample pods, one of each component and one that no policy should know, by the
rules of networking.k8s.io/v1 (a pod is isolated in a direction once a policy selects it; policies add up; a rule
without peers or without ports means any). It is held against the intent. Whether anybody enforces it is the family
`network`'s.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kubernetes import client

from assay.posture import intent
from assay.posture.authorities import cis, nsa
from assay.posture.probe import Finding, Probe, held

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from assay.posture.intent import Direction
    from assay.posture.scene import Scene

_INSTANCE: Final = "production"
_ANYBODY: Final = "anybody"
_ASKED: Final = (cis("5.3.2", "Ensure that all Namespaces have NetworkPolicies defined"), nsa("Network policies"))
_AGAIN: Final = "Provision the policies again with `assay deploy`."

DEFAULT_DENY: Final = Probe(
    name="policies/default-deny",
    tried="look for a policy that denies every pod everything, in both directions",
    authorities=_ASKED,
    remedy="Make a policy with an empty podSelector, both policyTypes and no rules: `assay deploy` does.",
)
RULES: Final[Mapping[str, Probe]] = {
    policy: Probe(
        name=f"policies/{policy}",
        tried=f"work out whether what {policy} is for is allowed: "
        + "; ".join(
            f"{rule.direction} of {', '.join(rule.subjects)}, {'to' if rule.direction == 'egress' else 'from'} "
            f"{', '.join(rule.peers)} on {', '.join(rule.ports)}"
            for rule in intent.RULES
            if rule.policy == policy and not rule.optional
        ),
        authorities=_ASKED,
        remedy=_AGAIN,
    )
    for policy in dict.fromkeys(rule.policy for rule in intent.RULES if not rule.optional)
}
NOTHING_ELSE: Final = Probe(
    name="policies/nothing-else",
    tried="work out whether any policy allows what is not intended",
    authorities=_ASKED,
    remedy="Remove the policy or narrow its rule; what is intended stands in assay/posture/intent.py.",
)
PROBES: Final = (DEFAULT_DENY, *RULES.values(), NOTHING_ELSE)


class Grant(NamedTuple):
    """One thing that is allowed: this direction of these pods, with this peer, on this port."""

    direction: Direction
    subject: str
    peer: str
    port: str

    def __str__(self) -> str:
        """As one says it."""
        toward = "to" if self.direction == "egress" else "from"
        return f"{self.direction} of {self.subject} {toward} {self.peer} on {self.port}"


#: Sample pods' labels by name, and the labels of the namespaces that they are in.
_HERE: Final = {
    name: {"app.kubernetes.io/instance": _INSTANCE, "app.kubernetes.io/component": name}
    for name in (*intent.COMPONENTS, intent.STRANGER)
}
_ELSEWHERE: Final = {
    intent.DNS: ({"k8s-app": "kube-dns"}, "kube-system"),
    "another pod of kube-system": ({}, "kube-system"),
    "a pod of another namespace": ({}, "another"),
}


def expected(rules: Iterable[intent.Rule]) -> frozenset[Grant]:
    """The grants that these rules of the intent amount to."""
    return frozenset(
        Grant(rule.direction, subject, peer, port)
        for rule in rules
        for subject in rule.subjects
        for peer in rule.peers
        for port in rule.ports
    )


def granted(policies: Sequence[Mapping[str, Any]], namespace: str) -> frozenset[Grant]:
    """What policies (plain data) allow the sample pods by their rules."""
    found = set()
    for policy in policies:
        spec = policy["spec"]
        subjects = [name for name, labels in _HERE.items() if selects(spec.get("podSelector") or {}, labels)]
        for direction, side in (("ingress", "from"), ("egress", "to")):
            if direction not in _types(spec):
                continue
            for rule in spec.get(direction) or ():
                peers = _peers(rule.get(side), namespace)
                for subject in subjects:
                    found |= {
                        Grant(direction, subject, peer, port)  # type: ignore[arg-type]  # one of the two words
                        for peer in peers
                        for port in _ports(rule.get("ports"))
                    }
    return frozenset(found)


def unisolated(policies: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sample pods that no policy isolates, with the direction: everything is allowed them there."""
    return [
        f"{direction} of {name} is not isolated by any policy"
        for direction in ("ingress", "egress")
        for name, labels in _HERE.items()
        if not any(
            direction in _types(policy["spec"]) and selects(policy["spec"].get("podSelector") or {}, labels)
            for policy in policies
        )
    ]


def judge(policies: Sequence[Mapping[str, Any]], namespace: str) -> Iterator[Finding]:
    """Hold policies (plain data) against the intent."""
    denying = {
        direction
        for policy in policies
        for direction in _types(policy["spec"])
        if _is_empty(policy["spec"].get("podSelector")) and not policy["spec"].get(direction)
    }
    lacking = [f"no policy denies all {direction}" for direction in ("ingress", "egress") if direction not in denying]
    yield held(
        DEFAULT_DENY, len(denying), "directions are denied by default", lacking and lacking + unisolated(policies)
    )
    seen = granted(policies, namespace)
    for policy, probe in RULES.items():
        wanted = expected(rule for rule in intent.RULES if rule.policy == policy and not rule.optional)
        missing = [f"{grant} is not allowed" for grant in sorted(wanted - seen)]
        yield held(probe, len(wanted), "intended ways are allowed", missing)
    extra = [f"{grant} is allowed" for grant in sorted(seen - expected(intent.RULES))]
    yield held(NOTHING_ELSE, len(policies), "policies allow nothing else", extra)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector (plain data) selects labels; an empty one selects all."""
    if any(labels.get(name) != value for name, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or ():
        value, values = labels.get(expression["key"]), expression.get("values") or ()
        fits = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[expression["operator"]]
        if not fits:
            return False
    return True


def look(scene: Scene) -> Iterator[Finding]:
    """Read the policies."""
    found = scene.api(client.NetworkingV1Api).list_namespaced_network_policy(scene.namespace).items
    yield from judge([scene.plain(policy) for policy in found], scene.namespace)


def _types(spec: Mapping[str, Any]) -> set[str]:
    """The directions that a policy is about; the API server writes them down if its author does not."""
    given = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return {str(one).lower() for one in given}


def _is_empty(selector: Mapping[str, Any] | None) -> bool:
    return not (selector or {}).get("matchLabels") and not (selector or {}).get("matchExpressions")


def _peers(peers: Iterable[Mapping[str, Any]] | None, namespace: str) -> set[str]:
    """Whom a rule means, among the sample pods and addresses."""
    found = set()
    for peer in peers or ():
        if "ipBlock" in peer:
            private = ipaddress.ip_network(peer["ipBlock"]["cidr"], strict=False).is_private
            found.add(intent.PRIVATE if private else intent.ANY_ADDRESS)
            continue
        samples = {name: (labels, namespace) for name, labels in _HERE.items()}
        if "namespaceSelector" in peer:
            samples |= _ELSEWHERE
        for name, (labels, home) in samples.items():
            if selects(peer.get("namespaceSelector") or {}, {"kubernetes.io/metadata.name": home}) and selects(
                peer.get("podSelector") or {}, labels
            ):
                found.add(name)
    return found if peers else {_ANYBODY}


def _ports(ports: Iterable[Mapping[str, Any]] | None) -> set[str]:
    return {
        f"{port.get('protocol') or 'TCP'} {port.get('port', 'any port')}"
        + (f"-{port['endPort']}" if port.get("endPort") else "")
        for port in ports or ()
    } or {"any port"}
