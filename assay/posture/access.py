"""Access: every service account of the namespace may do exactly what the allow-list says, and nothing of the forbidden.

What an account may do is asked of the API server's own authorizers: all its rules by SelfSubjectRulesReview, acting as
the account, and each forbidden action by SubjectAccessReview, beside one that every authenticated account is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client

from assay.platform import reason
from assay.posture.authorities import cis, nsa
from assay.posture.probe import Attempt, Finding, Probe, Result, denied_all, held
from assay.rbac import PathRight, Right, paths, resource_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from assay.posture.scene import Scene

_RBAC: Final = nsa("Role-based access control")

#: What is granted. Rights are without their place: a review is of one namespace, and does not tell what of its answer
#: is granted there and what everywhere.
Grants = frozenset[Right | PathRight]
#: What each account may do, beyond what everybody may. An account that is not named may do nothing.
ALLOWED: Final[Mapping[str, Grants]] = {
    "production-kafka": frozenset(),
    "production-topics": frozenset(),
    "production-catalog": frozenset(),
    "production-feed": frozenset(),
    "production-etl": frozenset({Right("", "", "configmaps", "get", "commodity-price-pipeline-config")}),
    "production-analytics": frozenset(),
}
#: What Kubernetes lets every service account do, or may, by version and feature: the roles system:basic-user,
#: system:discovery, system:public-info-viewer, system:service-account-issuer-discovery and
#: system:cluster-trust-bundle-discovery (k8s.io/kubernetes, bootstrappolicy/policy.go).
EVERYBODY: Final[Grants] = frozenset(
    {
        Right("", "authorization.k8s.io", "selfsubjectaccessreviews", "create"),
        Right("", "authorization.k8s.io", "selfsubjectrulesreviews", "create"),
        Right("", "authentication.k8s.io", "selfsubjectreviews", "create"),
        *(Right("", "certificates.k8s.io", "clustertrustbundles", verb) for verb in ("get", "list", "watch")),
        *(
            PathRight("get", path)
            for path in (
                *("/livez", "/readyz", "/healthz", "/version", "/version/", "/openapi", "/openapi/*"),
                *("/api", "/api/*", "/apis", "/apis/*"),
                *("/.well-known/openid-configuration", "/.well-known/openid-configuration/"),
                *("/openid/v1/jwks", "/openid/v1/jwks/"),
            )
        ),
    }
)


@dataclass(frozen=True)
class Action:
    """Something to be allowed or not: a verb on a resource (`pods/exec`), in an API group, in the namespace or not."""

    verb: str
    resource: str
    group: str = ""
    namespaced: bool = True

    def __str__(self) -> str:
        """As one says it."""
        return str(self.right)

    @property
    def right(self) -> Right:
        """The right that it takes, without its place."""
        return Right("", self.group, self.resource, self.verb)


@dataclass(frozen=True)
class Forbidden:
    """Actions of one kind that no account of the namespace may do."""

    probe: Probe
    actions: tuple[Action, ...]


#: What everybody may do: the control beside every refusal.
CONTROL: Final = Action("create", "selfsubjectaccessreviews", "authorization.k8s.io", namespaced=False)
_ROLES: Final = "rbac.authorization.k8s.io"


def _forbidden(name: str, actions: Iterable[Action], *asked: str) -> Forbidden:
    actions = tuple(actions)
    said = ", ".join(dict.fromkeys(map(str, actions)))
    probe = Probe(
        name=f"access/{name}",
        tried=f"{said}, as each service account",
        authorities=(*asked, _RBAC),
        remedy="Take the rule out of the role that grants it: `kubectl auth can-i --list --as "
        "system:serviceaccount:NAMESPACE:ACCOUNT` shows what is left.",
    )
    return Forbidden(probe, actions)


def _each(verbs: Iterable[str], resources: Iterable[str], group: str = "", *, namespaced: bool = True) -> list[Action]:
    return [Action(verb, resource, group, namespaced) for verb, resource in product(verbs, resources)]


FORBIDDEN: Final = (
    _forbidden("secrets", _each(("get", "list", "watch"), ("secrets",)), cis("5.1.2", "Minimize access to secrets")),
    _forbidden(
        "everything",
        [Action("*", "*", "*", namespaced=False)],
        cis("5.1.3", "Minimize wildcard use in Roles and ClusterRoles"),
    ),
    _forbidden("create-pods", _each(("create",), ("pods",)), cis("5.1.4", "Minimize access to create pods")),
    _forbidden("exec", _each(("create", "get"), ("pods/exec", "pods/attach", "pods/portforward"))),
    _forbidden(
        "escalate",
        [*_each(("escalate",), ("roles",), _ROLES), *_each(("escalate",), ("clusterroles",), _ROLES, namespaced=False)],
        cis("5.1.8", "Limit use of the Bind, Impersonate and Escalate permissions in the Kubernetes cluster"),
    ),
    _forbidden(
        "bind",
        [*_each(("bind",), ("roles",), _ROLES), *_each(("bind",), ("clusterroles",), _ROLES, namespaced=False)],
        cis("5.1.8", "Limit use of the Bind, Impersonate and Escalate permissions in the Kubernetes cluster"),
    ),
    _forbidden(
        "impersonate",
        [
            *_each(("impersonate",), ("users", "groups"), namespaced=False),
            *_each(("impersonate",), ("serviceaccounts",)),
        ],
        cis("5.1.8", "Limit use of the Bind, Impersonate and Escalate permissions in the Kubernetes cluster"),
    ),
    _forbidden(
        "grant",
        [
            *_each(("create", "update", "patch"), ("roles", "rolebindings"), _ROLES),
            *_each(("create", "update", "patch"), ("clusterroles", "clusterrolebindings"), _ROLES, namespaced=False),
        ],
    ),
    _forbidden(
        "persistent-volumes",
        _each(("create",), ("persistentvolumes",), namespaced=False),
        cis("5.1.9", "Minimize access to create persistent volumes"),
    ),
    _forbidden(
        "nodes",
        _each(("get", "list", "create"), ("nodes", "nodes/proxy"), namespaced=False),
        cis("5.1.10", "Minimize access to the proxy sub-resource of nodes"),
    ),
    _forbidden(
        "certificates",
        _each(("update",), ("certificatesigningrequests/approval",), "certificates.k8s.io", namespaced=False),
        cis("5.1.11", "Minimize access to the approval sub-resource of certificatesigningrequests objects"),
    ),
    _forbidden(
        "webhooks",
        _each(
            ("create", "update", "patch"),
            ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"),
            "admissionregistration.k8s.io",
            namespaced=False,
        ),
        cis("5.1.12", "Minimize access to webhook configuration objects"),
    ),
    _forbidden(
        "tokens",
        _each(("create",), ("serviceaccounts/token",)),
        cis("5.1.13", "Minimize access to the service account token creation"),
    ),
    _forbidden(
        "fences",
        [
            *_each(("update", "patch", "delete"), ("networkpolicies",), "networking.k8s.io"),
            *_each(("update", "patch", "delete"), ("resourcequotas", "limitranges")),
            *_each(("update", "patch", "delete"), ("namespaces",), namespaced=False),
        ],
    ),
)
RULES: Final = Probe(
    name="access/rules",
    tried="compare all that each service account may do with the allow-list",
    authorities=(
        cis("5.1.3", "Minimize wildcard use in Roles and ClusterRoles"),
        _RBAC,
    ),
    remedy="Take away what is too much, or provision what is missing with `assay deploy`; what an account shall be "
    "allowed stands in assay/posture/access.py.",
)
PROBES: Final = (RULES, *(forbidden.probe for forbidden in FORBIDDEN))


def grants(on_resources: Iterable[Mapping[str, Any]], on_paths: Iterable[Mapping[str, Any]] = ()) -> Grants:
    """What rules grant, one by one.

    Args:
        on_resources: RBAC's policy rules on resources, or `resourceRules` of a review, as plain data.
        on_paths: Those on paths, or `nonResourceRules`.
    """
    return frozenset({right for rule in resource_rules(on_resources, "") for right in rule.rights()} | paths(on_paths))


def judge_rules(seen: Mapping[str, Grants | str]) -> Finding:
    """Hold what accounts may do against the allow-list.

    Args:
        seen: By account its grants, or a sentence on why they are not known.
    """
    wrong, unseen = [], []
    for account, granted in sorted(seen.items()):
        if isinstance(granted, str):
            unseen.append(f"{account}: {granted}")
            continue
        expected = ALLOWED.get(account, frozenset())
        wrong += [f"{account} may {grant}" for grant in sorted(map(str, granted - EVERYBODY - expected))]
        wrong += [f"{account} may not {grant}" for grant in sorted(map(str, expected - granted))]
    wrong += [f"there is no account {account}" for account in sorted(ALLOWED.keys() - seen.keys())]
    return held(RULES, len(seen), "accounts may do what the allow-list says", wrong, unseen)


def judge_forbidden(
    forbidden: Forbidden, attempts: Mapping[str, Mapping[Action, Attempt]], controls: Mapping[str, Attempt]
) -> Finding:
    """What came of the forbidden actions.

    Args:
        forbidden: Which.
        attempts: By account, what became of each action.
        controls: By account, what became of the control.
    """
    told = {f"{who}: {action}": attempts[who][action] for who in attempts for action in forbidden.actions}
    allowed = {f"{who}: {action}": controls[who] for who in attempts for action in forbidden.actions}
    return denied_all(forbidden.probe, told, allowed, f"{CONTROL} is allowed to each")


def look(scene: Scene) -> Iterator[Finding]:
    """Ask the API server."""
    accounts = [one.metadata.name for one in scene.core.list_namespaced_service_account(scene.namespace).items]
    yield judge_rules({account: _rules(scene, account) for account in accounts})
    reviews = scene.api(client.AuthorizationV1Api)
    controls = {account: _review(scene, reviews, account, CONTROL) for account in accounts}
    for forbidden in FORBIDDEN:
        attempts = {
            account: {action: _review(scene, reviews, account, action) for action in forbidden.actions}
            for account in accounts
        }
        yield judge_forbidden(forbidden, attempts, controls)


def _rules(scene: Scene, account: str) -> Grants | str:
    body = {"spec": {"namespace": scene.namespace}}
    try:
        found = scene.plain(scene.acting_as(account).create_self_subject_rules_review(body).status)
    except client.ApiException as error:
        return f"its rules can't be asked for ({reason(error)}): give whoever asks the right to impersonate it"
    if found.get("incomplete"):
        return f"the API server does not know all its rules: {found.get('evaluationError') or 'no reason given'}"
    return grants(found.get("resourceRules") or (), found.get("nonResourceRules") or ())


def _review(scene: Scene, reviews: Any, account: str, action: Action) -> Attempt:
    resource, _, subresource = action.resource.partition("/")
    attributes = {"verb": action.verb, "group": action.group, "resource": resource, "subresource": subresource}
    if action.namespaced:
        attributes["namespace"] = scene.namespace
    user = f"system:serviceaccount:{scene.namespace}:{account}"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{scene.namespace}", "system:authenticated"]
    body = {"spec": {"user": user, "groups": groups, "resourceAttributes": attributes}}
    try:
        status = reviews.create_subject_access_review(body).status
    except client.ApiException as error:
        return Attempt(Result.UNVERIFIABLE, reason(error))
    if status.allowed:
        return Attempt(Result.ALLOWED, status.reason or "")
    if status.evaluation_error:
        return Attempt(Result.UNVERIFIABLE, status.evaluation_error)
    return Attempt(Result.REFUSED)
