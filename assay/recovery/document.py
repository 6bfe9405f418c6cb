"""Small questions to the document of live settings (`assay.settings`): what a component's pods are told, who agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def pods_of(kubernetes: Mapping[str, Any], component: str) -> Iterator[Mapping[str, Any]]:
    """The pods of a component, as the document has them."""
    return (pod for pod in kubernetes["pods"].values() if isinstance(pod, dict) and pod.get("component") == component)


def environment(kubernetes: Mapping[str, Any], component: str) -> dict[str, str]:
    """The variables of a component's containers: literal ones, and those of ConfigMaps as a whole."""
    found: dict[str, str] = {}
    for pod in pods_of(kubernetes, component):
        for container in pod["containers"].values():
            for source in container["envFrom"]:
                found |= kubernetes["configMaps"].get(source.removeprefix("ConfigMap "), {})
            found |= container["env"]
    return found


def agreed(values: Mapping[str, str]) -> str:
    """The one value that all have, or each with whose it is; empty if there is none."""
    different = sorted(set(values.values()))
    if len(different) <= 1:
        return "".join(different)
    return ", ".join(f"{value} ({', '.join(_whose(values, value))})" for value in different)


def _whose(values: Mapping[str, str], value: str) -> Iterable[str]:
    return sorted(name for name, given in values.items() if given == value)
