"""Who asks for what: the standards' names, and their sections by the names that they give them.

Pod Security Standards: <https://kubernetes.io/docs/concepts/security/pod-security-standards/>, by control. CIS
Kubernetes Benchmark 1.12, by recommendation (numbers move between versions). NSA and CISA, Kubernetes Hardening Guide
1.2 (August 2022), by section.
"""

from __future__ import annotations


def pss(control: str) -> str:
    """A control of the Pod Security Standards."""
    return f"Pod Security Standards: {control}"


def cis(number: str, title: str) -> str:
    """A recommendation of the CIS Kubernetes Benchmark."""
    return f"CIS Kubernetes Benchmark 1.12: {number} {title}"


def nsa(section: str) -> str:
    """A section of the Kubernetes Hardening Guide."""
    return f"NSA/CISA Kubernetes Hardening Guide 1.2: {section}"
