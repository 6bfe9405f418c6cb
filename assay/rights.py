"""The rights that Assay needs on a cluster that it did not make, out of `rights.yaml`, as RBAC for `kubectl apply`.

Rules in a namespace become a Role there, those of what is in no namespace a ClusterRole. The namespaces that Assay
would otherwise make itself are printed with them, since a Role can only stand in one that is there.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from assay.rbac import Rule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Job = Literal["deploy", "validate", "chaos"]
JOBS: Final[tuple[Job, ...]] = ("deploy", "validate", "chaos")
#: Where rules apply, beside namespaces of that name.
PLATFORM, CLUSTER, CHAOS = "platform", "cluster", "assay-chaos"
_FILE: Final = "rights.yaml"
_GROUP: Final = "rbac.authorization.k8s.io"
_OURS: Final = {"app.kubernetes.io/managed-by": "assay"}
_PRIVILEGED: Final = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}


class Needed(BaseModel):
    """A rule.

    Attributes:
        jobs: What it is needed for.
        place: Where; see `PLATFORM`.
        groups: API groups.
        resources: Resources, with their subresources.
        verbs: As in RBAC.
        why: What is done with it.
        only: What alone it is needed for; empty: each run of the job.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    jobs: tuple[Job, ...] = Field(alias="for")
    place: str = Field(alias="in")
    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    only: str = ""

    def rule(self, namespace: str) -> Rule:
        """The same as `assay.rbac` compares it; `namespace` is the platform's."""
        places = {PLATFORM: namespace, CLUSTER: ""}
        where = places.get(self.place, self.place)
        return Rule(where, *(tuple(sorted(one)) for one in (self.groups, self.resources, self.verbs)))


def needed(jobs: Collection[Job]) -> tuple[Needed, ...]:
    """The rules for these jobs together."""
    text = resources.files("assay").joinpath(_FILE).read_text(encoding="utf-8")
    rules = (Needed.model_validate(one) for one in yaml.safe_load(text))
    return tuple(rule for rule in rules if set(rule.jobs) & set(jobs))


def text(rules: Iterable[Needed], jobs: Collection[Job], namespace: str, user: str = "") -> str:
    """The rules as YAML, each with what it is for.

    Args:
        rules: Which (`needed`).
        jobs: What they are for: they give the roles their name.
        namespace: The platform's.
        user: Whom to bind to them, by the name that the API server knows; empty: nobody.
    """
    name = "-".join(("assay", *(job for job in JOBS if job in jobs)))
    places: dict[str, list[Needed]] = {}
    for rule in rules:
        places.setdefault(rule.place, []).append(rule)
    documents = [_yaml(one) for one in _namespaces(jobs, namespace)]
    for place, here in places.items():
        where = None if place == CLUSTER else namespace if place == PLATFORM else place
        documents.append(_role(name, where, here))
        if user:
            documents.append(_yaml(_binding(name, where, user)))
    return "".join(f"---\n{one}" for one in documents)


def _namespaces(jobs: Collection[Job], namespace: str) -> list[dict[str, Any]]:
    made = {}
    if {"deploy", "validate"} & set(jobs):
        made[namespace] = _OURS
    if "chaos" in jobs:
        made[CHAOS] = {**_OURS, "app.kubernetes.io/component": "chaos", **_PRIVILEGED}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": of}} for n, of in made.items()]


def _metadata(name: str, where: str | None) -> dict[str, Any]:
    return {"name": name} if where is None else {"name": name, "namespace": where}


def _role(name: str, where: str | None, rules: Iterable[Needed]) -> str:
    kind = "ClusterRole" if where is None else "Role"
    head = _yaml({"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": _metadata(name, where)})
    parts = []
    for one in rules:
        rule = {"apiGroups": [*one.groups], "resources": [*one.resources], "verbs": [*one.verbs]}
        only = f" (only for {one.only})" if one.only else ""
        lines = yaml.safe_dump([rule], default_flow_style=None, sort_keys=False, width=1000).splitlines()
        parts += [f"  # {one.why}{only}", *(f"  {line}" for line in lines)]
    return head + "rules:\n" + "\n".join(parts) + "\n"


def _binding(name: str, where: str | None, user: str) -> dict[str, Any]:
    kind = "ClusterRole" if where is None else "Role"
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": f"{kind}Binding",
        "metadata": _metadata(name, where),
        "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": name},
        "subjects": [{"apiGroup": _GROUP, "kind": "User", "name": user}],
    }


def _yaml(document: dict[str, Any]) -> str:
    return str(yaml.safe_dump(document, sort_keys=False))
