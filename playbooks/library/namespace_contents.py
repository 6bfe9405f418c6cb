"""Lists what a namespace holds, of every kind that its API server knows: what bears our labels, and what does not."""
# ruff: noqa: INP001  # Ansible loads modules by their path

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.common.text.converters import to_native
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule

if TYPE_CHECKING:
    from collections.abc import Iterable

DOCUMENTATION = r"""
module: namespace_contents
short_description: List what a namespace holds, ours and foreign
description:
  - Looks at every kind that can be listed and deleted, custom ones included, so that nobody's object is overlooked
    before a namespace is deleted.
  - Leaves out what the cluster makes by itself in every namespace, what another object owns, and events.
options:
  namespace:
    description: The namespace; one that does not exist holds nothing.
    type: str
    required: true
  labels:
    description: The labels by which an object is ours.
    type: dict
    required: true
extends_documentation_fragment: [kubernetes.core.k8s_auth_options]
"""

EXAMPLES = r"""
- name: See what is in production
  namespace_contents:
    namespace: production
    labels:
      app.kubernetes.io/managed-by: assay
"""

RETURN = r"""
ours:
  description: Our objects, as apiVersion, kind and metadata (name, namespace).
  returned: always
  type: list
foreign:
  description: The others, as "Kind name".
  returned: always
  type: list
"""

#: Made by the cluster in every namespace.
EVERYWHERE = frozenset({("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")})
#: About objects, not objects in their own right.
PASSING = frozenset({"Event", "Lease", "PodMetrics"})


def served(client: Any) -> Iterable[Any]:
    """Each kind that can be listed and deleted in a namespace, once: every version of it shows the same objects."""
    kinds: dict[tuple[str, str], Any] = {}
    for found in client.resources.search(namespaced=True):
        verbs = found.verbs or ()
        if "list" in verbs and "delete" in verbs and found.kind not in PASSING and not found.kind.endswith("List"):
            kinds.setdefault((found.group, found.kind), found)
    return kinds.values()


def main() -> None:
    """Run the module."""
    module = AnsibleK8SModule(
        argument_spec={
            **AUTH_ARG_SPEC,
            "namespace": {"type": "str", "required": True},
            "labels": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    namespace, labels = module.params["namespace"], module.params["labels"]
    ours, foreign = [], []
    try:
        client = get_api_client(module).client
        for kind in served(client):
            for item in client.get(kind, namespace=namespace).to_dict()["items"]:
                metadata = item["metadata"]
                if metadata.get("ownerReferences") or (kind.kind, metadata["name"]) in EVERYWHERE:
                    continue
                if labels.items() <= metadata.get("labels", {}).items():
                    ours.append(
                        {
                            "apiVersion": kind.group_version,
                            "kind": kind.kind,
                            "metadata": {"name": metadata["name"], "namespace": namespace},
                        }
                    )
                else:
                    foreign.append(f"{kind.kind} {metadata['name']}")
    except Exception as error:  # noqa: BLE001  # whatever the client raises, the user gets a sentence, not a traceback
        module.fail_json(msg=f"What the namespace {namespace} holds can't be listed: {to_native(error)}")
    module.exit_json(changed=False, ours=ours, foreign=sorted(foreign))


if __name__ == "__main__":
    main()
