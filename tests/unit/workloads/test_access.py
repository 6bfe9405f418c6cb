"""Kafka's rights as declared: what is granted in Kafka's own words, and settings that make no sense refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from workloads.access import Granted, Right, rights
from workloads.identity import KafkaIdentity
from workloads.settings import SettingsError, load
from workloads.topics import Declaration

if TYPE_CHECKING:
    from pathlib import Path


def test_a_right_is_one_binding_an_operation() -> None:
    """From any host, on exactly this name."""
    granted = [
        Granted(principal="etl", topic="prices", operations=("write", "describe_configs")),
        Granted(principal="consumer", group="analytics", operations=("read",)),
    ]
    assert rights(granted) == {
        Right("User:etl", "*", "ALLOW", "WRITE", "TOPIC", "LITERAL", "prices"),
        Right("User:etl", "*", "ALLOW", "DESCRIBE_CONFIGS", "TOPIC", "LITERAL", "prices"),
        Right("User:consumer", "*", "ALLOW", "READ", "GROUP", "LITERAL", "analytics"),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"principal": "etl", "operations": ["read"]},
        {"principal": "etl", "topic": "a", "group": "b", "operations": ["read"]},
        {"principal": "etl", "topic": "a", "operations": []},
        {"principal": "etl", "topic": "a", "operations": ["all"]},
        {"principal": "", "topic": "a", "operations": ["read"]},
        {"principal": "etl", "topic": "a", "operations": ["read"], "host": "*"},
    ],
)
def test_a_right_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """On nothing, on two things, to do nothing or everything, to nobody, or with a word that nobody knows."""
    with pytest.raises(ValidationError):
        Granted.model_validate(wrong)


def test_a_declaration_without_rights_leaves_them_alone() -> None:
    """Brokers without an authorizer refuse to be asked; an empty list takes every right away."""
    assert Declaration.model_validate({"topics": []}).access is None
    assert Declaration.model_validate({"topics": [], "access": []}).access == ()


def test_a_client_without_certificates_speaks_in_plain_text() -> None:
    """As before."""
    assert KafkaIdentity().client() == {}


def test_a_client_with_certificates_speaks_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And checks the broker's name."""
    for name in ("ca", "certificate", "key"):
        (tmp_path / name).touch()
        monkeypatch.setenv(f"KAFKA_CLIENT_SSL_{name.upper()}_LOCATION", str(tmp_path / name))
    assert load(KafkaIdentity).client() == {
        "security.protocol": "ssl",
        "ssl.endpoint.identification.algorithm": "https",
        "ssl.ca.location": str(tmp_path / "ca"),
        "ssl.certificate.location": str(tmp_path / "certificate"),
        "ssl.key.location": str(tmp_path / "key"),
    }


def test_a_part_of_an_identity_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file alone, or one that is not there."""
    (tmp_path / "ca").touch()
    monkeypatch.setenv("KAFKA_CLIENT_SSL_CA_LOCATION", str(tmp_path / "ca"))
    with pytest.raises(SettingsError, match="set all three, or none"):
        load(KafkaIdentity)
    monkeypatch.setenv("KAFKA_CLIENT_SSL_CERTIFICATE_LOCATION", str(tmp_path / "crt"))
    monkeypatch.setenv("KAFKA_CLIENT_SSL_KEY_LOCATION", str(tmp_path / "key"))
    with pytest.raises(SettingsError, match=f"there is no file {tmp_path / 'crt'}: mount Kafka's certificates there"):
        load(KafkaIdentity)
