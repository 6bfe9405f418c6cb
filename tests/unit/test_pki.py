"""The cluster's identities are signed by its own authority and nobody else can read their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from assay.pki import Authority

if TYPE_CHECKING:
    from pathlib import Path


def test_an_identity_is_signed_by_its_authority_and_no_other() -> None:
    """Two clusters do not trust each other's users."""
    ours, theirs = Authority("ours"), Authority("theirs")
    issued = x509.load_pem_x509_certificate(ours.issue("user").certificate)
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(ours.identity.certificate))
    with pytest.raises((InvalidSignature, ValueError)):
        issued.verify_directly_issued_by(x509.load_pem_x509_certificate(theirs.identity.certificate))


def test_user_groups_and_hosts_stand_in_the_certificate() -> None:
    """Kubernetes reads the user from the common name and the groups from the organisations."""
    made = Authority("ca").issue("system:node:n", ["system:nodes"], ["n", "10.201.255.11"])
    issued = x509.load_pem_x509_certificate(made.certificate)
    assert [one.value for one in issued.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:n"]
    assert [one.value for one in issued.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["10.201.255.11"]


def test_keys_are_private_files(tmp_path: Path) -> None:
    """Mode 0600, also over a file that was open to all."""
    (tmp_path / "x.key").write_text("old")
    (tmp_path / "x.key").chmod(0o644)
    _, key = Authority("ca").issue("x").write(tmp_path, "x")
    assert key.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE KEY" in key.read_bytes()
