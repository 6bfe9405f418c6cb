"""The certificates that a platform's Kafka wants: fetched from its Secrets, kept private, named for everybody."""

from __future__ import annotations

import base64
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client

from assay import credentials
from assay.errors import AssayError

if TYPE_CHECKING:
    from pathlib import Path


class Namespace:
    """A platform in a namespace whose API answers from here; counts how often it is asked for Secrets."""

    def __init__(self, kubeconfig: Path, *, secured: bool, keys: dict[str, str] | None = None) -> None:
        """`keys`: what the Secret of each principal holds, in words."""
        self.kubeconfig = kubeconfig
        self.namespace = "production"
        self.core = self
        self.keys = keys or {}
        self.asked = 0
        self._annotations = {"assay.dev/kafka-security": "mtls"} if secured else None

    def read_namespace(self, name: str) -> Any:
        """The namespace's annotations."""
        assert name == self.namespace
        return SimpleNamespace(metadata=SimpleNamespace(annotations=self._annotations))

    def list_namespaced_secret(self, name: str, label_selector: str) -> Any:
        """The Secret of the principal that the selector names."""
        assert name == self.namespace
        self.asked += 1
        principal = label_selector.rpartition("kafka-")[2]
        files = ("ca.crt", "tls.crt", "tls.key")
        items = [
            SimpleNamespace(data={file: base64.b64encode(f"{word} {file}".encode()).decode() for file in files})
            for who, word in self.keys.items()
            if who == principal
        ]
        return SimpleNamespace(items=items)


def test_a_platform_in_plain_text_is_asked_for_nothing(tmp_path: Path) -> None:
    """Whoever may not read Secrets can still test it."""
    platform: Any = Namespace(tmp_path / "kubeconfig", secured=False)
    environment: dict[str, str] = {}
    assert credentials.provide(platform, environment) == environment == {}
    assert platform.asked == 0


def test_certificates_are_written_for_their_owner_alone_and_named(tmp_path: Path) -> None:
    """Beside the kubeconfig; who reads and who sends have one each, and a rotation is seen at the next call."""
    platform: Any = Namespace(tmp_path / "kubeconfig", secured=True, keys={"admin": "old", "producer": "p"})
    environment: dict[str, str] = {}
    assert credentials.provide(platform, environment) == environment
    folder = tmp_path / "kubeconfig.production.kafka"
    assert environment == {
        "ASSAY_KAFKA_CA": str(folder / "admin" / "ca.crt"),
        "ASSAY_KAFKA_CERT": str(folder / "admin" / "tls.crt"),
        "ASSAY_KAFKA_KEY": str(folder / "admin" / "tls.key"),
        "ASSAY_KAFKA_PRODUCER_CERT": str(folder / "producer" / "tls.crt"),
        "ASSAY_KAFKA_PRODUCER_KEY": str(folder / "producer" / "tls.key"),
    }
    assert (folder / "producer" / "tls.key").read_text() == "p tls.key"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o700}
    platform.keys["admin"] = "new"
    credentials.provide(platform, environment)
    assert (folder / "admin" / "tls.crt").read_text() == "new tls.crt"
    assert len([path for path in folder.rglob("*") if path.is_file()]) == len(files)
    credentials.forget(platform.kubeconfig, "production")
    assert not folder.exists()
    credentials.forget(platform.kubeconfig, "production")


def test_files_of_ones_own_are_left_alone(tmp_path: Path) -> None:
    """Who was given a certificate by hand needs no right to read Secrets."""
    platform: Any = Namespace(tmp_path / "kubeconfig", secured=True)
    environment = {"ASSAY_KAFKA_CA": "/mine/ca", "ASSAY_KAFKA_CERT": "/mine/crt", "ASSAY_KAFKA_KEY": "/mine/key"}
    assert credentials.provide(platform, environment) == environment
    assert platform.asked == 0


def test_files_of_another_platform_are_none_of_ones_own(tmp_path: Path) -> None:
    """A shell that knows one platform's certificates can be used for another, guarded or not."""
    keys = {"admin": "a", "producer": "p"}
    one: Any = Namespace(tmp_path / "one", secured=True, keys=keys)
    other: Any = Namespace(tmp_path / "other", secured=True, keys=keys)
    plain: Any = Namespace(tmp_path / "plain", secured=False)
    environment: dict[str, str] = {}
    credentials.provide(one, environment)
    credentials.provide(other, environment)
    assert environment["ASSAY_KAFKA_CERT"] == str(tmp_path / "other.production.kafka" / "admin" / "tls.crt")
    assert credentials.provide(plain, environment) == environment == {}


def test_a_certificate_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    """It says whose, and what to do."""
    platform: Any = Namespace(tmp_path / "kubeconfig", secured=True)
    with pytest.raises(AssayError, match="no certificate for Kafka's admin in production: provision with"):
        credentials.provide(platform, {})


def test_secrets_that_may_not_be_read_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the variables by which files can be given instead."""
    platform: Any = Namespace(tmp_path / "kubeconfig", secured=True)

    def refuse(*_: object, **__: object) -> None:
        raise client.ApiException(status=403, reason="Forbidden")

    monkeypatch.setattr(platform, "list_namespaced_secret", refuse)
    with pytest.raises(
        AssayError, match=r"403 Forbidden\): have the files given to you, and name them by ASSAY_KAFKA_CA"
    ):
        credentials.provide(platform, {})
