"""Rights in Kubernetes' RBAC: which of them an account used, by the audit log, and what a role grants beside them.

A right is one verb on one resource in one place, so that rules which are written differently can be compared. What a
rule covers is as in rbac.authorization.k8s.io/v1: `*` is every group, verb or resource with its subresources; `*/scale`
is that subresource of any resource; names limit a rule to objects of these names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from assay.audit import ALLOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assay.audit import Event

#: Resources whose names belong to a right: they last, and it matters which one is read. Pods' are made up anew.
NAMED: Final = frozenset({("", "configmaps"), ("", "secrets")})
#: Verbs of requests that name no object when they are authorized, though the log names it afterwards.
_NAMELESS: Final = frozenset({"create", "deletecollection"})
#: A WebSocket begins with a GET; since Kubernetes 1.35 (KEP-4006) who may only `get` these is refused all the same.
_CONVERSATIONS: Final = frozenset({"pods/exec", "pods/attach", "pods/portforward"})
#: How the authorizer's reason ends for what everybody may, by Kubernetes' own roles: no role needs to grant it.
_EVERYBODY: Final = 'to Group "system:authenticated"'
_ANY: Final = "*"


class Right(NamedTuple):
    """One verb on one resource.

    Attributes:
        namespace: Where; empty: everywhere, and on what is in no namespace.
        group: The API group; empty: the core group.
        resource: The resource, with its subresource: `pods`, `pods/exec`.
        verb: In RBAC's words.
        name: On which object; empty: on any, and on all at once.
    """

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        """As one says it, the place aside: `get configmaps/name`, `create things.group`, `create pods.group/exec`."""
        plain, slash, subresource = self.resource.partition("/")
        where = f".{self.group}" if self.group else ""
        return f"{self.verb} {plain}{where}{slash}{subresource}{'/' if self.name else ''}{self.name}"


class PathRight(NamedTuple):
    """One verb on a path that is no resource, such as `/metrics`."""

    verb: str
    path: str

    def __str__(self) -> str:
        """As one says it."""
        return f"{self.verb} {self.path}"


class Rule(NamedTuple):
    """A rule of a role in one place; the fields are those of a PolicyRule, sorted, and the namespace as of `Right`."""

    namespace: str
    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    resource_names: tuple[str, ...] = ()

    def rights(self) -> set[Right]:
        """Every right that it grants, wildcards as they are."""
        return {
            Right(self.namespace, group, resource, verb, name)
            for group in self.api_groups
            for resource in self.resources
            for verb in self.verbs
            for name in self.resource_names or ("",)
        }


def allow_list(events: Iterable[Event], user: str, *, refused: bool = False) -> tuple[Rule, ...]:
    """The rules that allow an account what it was seen to do, and nothing else (pure).

    Left out is what everybody may, paths that are no resources (no Role grants those), and what it takes to impersonate
    somebody: who was impersonated has used the rights.

    Args:
        events: Of an audit log.
        user: The account, such as `system:serviceaccount:production:production-etl`, by itself or impersonated.
        refused: Also what it asked for in vain.
    """
    used: set[Right] = set()
    for event in events:
        asked = event.object_ref
        if event.actor != user or asked is None or event.reason.endswith(_EVERYBODY):
            continue
        if event.decision != ALLOW and not refused:
            continue
        named = (asked.api_group, event.resource) in NAMED and event.verb not in _NAMELESS
        right = Right(asked.namespace, asked.api_group, event.resource, event.verb, asked.name if named else "")
        used.add(right)
        if event.resource in _CONVERSATIONS:
            used.add(right._replace(verb="create"))
    return rules_for(used)


def rules_for(rights: Iterable[Right]) -> tuple[Rule, ...]:
    """Rights as few rules, sorted: those that differ in one thing only are one rule (pure)."""
    atoms = {Rule(one.namespace, (one.group,), (one.resource,), (one.verb,), (one.name,)) for one in rights}
    for place in map(Rule._fields.index, ("verbs", "resource_names", "resources")):
        together: dict[Any, set[str]] = {}
        for rule in atoms:
            together.setdefault((*rule[:place], (), *rule[place + 1 :]), set()).update(rule[place])
        atoms = {Rule._make((*rest[:place], tuple(sorted(one)), *rest[place + 1 :])) for rest, one in together.items()}
    return tuple(sorted(rule._replace(resource_names=()) if rule.resource_names == ("",) else rule for rule in atoms))


def rules_of(role: Mapping[str, Any], namespace: str | None = None) -> tuple[Rule, ...]:
    """The rules of a Role or ClusterRole, as plain data (camel case, as in YAML), but those on paths.

    Args:
        role: The object.
        namespace: Where it is bound: a RoleBinding limits a ClusterRole to its own namespace; None: where the role is.
    """
    where = role["metadata"].get("namespace", "") if namespace is None else namespace
    return resource_rules(role.get("rules") or (), where)


def resource_rules(given: Iterable[Mapping[str, Any]], namespace: str) -> tuple[Rule, ...]:
    """Policy rules, as plain data, but those on paths: a role's, or `resourceRules` of a review."""
    return tuple(
        Rule(
            namespace,
            *(tuple(sorted(rule.get(name) or ())) for name in ("apiGroups", "resources", "verbs", "resourceNames")),
        )
        for rule in given
        if rule.get("resources")
    )


def paths(given: Iterable[Mapping[str, Any]]) -> set[PathRight]:
    """What policy rules, as plain data, grant on paths: a role's, or `nonResourceRules` of a review."""
    return {
        PathRight(verb, path) for rule in given for verb in rule["verbs"] for path in rule.get("nonResourceURLs") or ()
    }


def compare(role_rules: Iterable[Rule], needed: Iterable[Rule]) -> tuple[tuple[Right, ...], tuple[Right, ...]]:
    """What a role lacks of the rights that are needed, and what it grants beyond them (pure).

    Returns:
        Missing: needed rights that no rule covers. Surplus: granted rights that are not needed to the word: a wildcard
        always, all names where some are enough, everywhere where one namespace is.
    """
    granted = {right for rule in role_rules for right in rule.rights()}
    wanted = {right for rule in needed for right in rule.rights()}
    missing = {right for right in wanted if not any(_covers(one, right) for one in granted)}
    return tuple(sorted(missing)), tuple(sorted(granted - wanted))


def _covers(granted: Right, wanted: Right) -> bool:
    _, _, subresource = wanted.resource.partition("/")
    resources = {_ANY, wanted.resource} | ({f"{_ANY}/{subresource}"} if subresource else set())
    return (
        granted.namespace in {"", wanted.namespace}
        and granted.group in {_ANY, wanted.group}
        and granted.resource in resources
        and granted.verb in {_ANY, wanted.verb}
        and granted.name in {"", wanted.name}
    )
