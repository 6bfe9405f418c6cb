"""Kafka's certificates, made by the playbook's own role without a cluster: whom each is for, and how they are rotated.

What must hold at every step of a rotation is that whoever has gone it and whoever has not yet believe each other.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: A whole rotation is thirty keys and certificates, each a module of Ansible's.
pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]
STEPS = ("first", "again", "trust", "issue", "drop", "late")
LEAVES = {"broker", "admin", "producer", "consumer", "etl"}
Secrets = dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Secrets]:
    """What the Secrets hold after each step, by the step's name; `authority` and the principals."""
    folder = tmp_path_factory.mktemp("rotation")
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "tests/playbooks/rotation.yml",
            "-e",
            f"platform_render_to={folder}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PRIVATE KEY" not in ran.stdout
    return {step: read(json.loads((folder / f"{step}.json").read_text())) for step in STEPS}


def read(documents: list[dict[str, Any]]) -> Secrets:
    """The data of each Secret."""
    return {
        one["metadata"]["name"].removeprefix("production-kafka-"): {
            key: base64.b64decode(value) for key, value in one["data"].items()
        }
        for one in documents
    }


def leaf(secret: dict[str, bytes]) -> x509.Certificate:
    """The certificate that is shown."""
    return x509.load_pem_x509_certificate(secret["tls.crt"])


def believed(shown: x509.Certificate, authorities: bytes) -> bool:
    """Whether a certificate is of one of these authorities, by its signature."""
    for authority in x509.load_pem_x509_certificates(authorities):
        try:
            shown.verify_directly_issued_by(authority)
        except InvalidSignature:
            continue
        return True
    return False


def test_each_has_a_certificate_and_the_key_to_it(steps: dict[str, Secrets]) -> None:
    """Named as Kafka is to call it, of elliptic curves, and the authority's key is with nobody."""
    made = steps["first"]
    assert made.keys() == LEAVES | {"authority"}
    for name in LEAVES:
        (called,) = leaf(made[name]).subject
        assert (called.oid, called.value) == (NameOID.COMMON_NAME, name)
        key = load_pem_private_key(made[name]["tls.key"], None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.public_key() == leaf(made[name]).public_key()
        assert made["authority"]["tls.key"] not in made[name].values()
    assert made["broker"]["keystore.pem"] == made["broker"]["tls.key"] + made["broker"]["tls.crt"]
    assert len({one["tls.key"] for one in made.values()}) == len(LEAVES) + 1


def test_brokers_alone_are_servers_by_all_their_names(steps: dict[str, Secrets]) -> None:
    """What pods and clients outside call them; no client's certificate will do for a server."""
    for name in LEAVES:
        usage = set(leaf(steps["first"][name]).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        assert (ExtendedKeyUsageOID.SERVER_AUTH in usage) is (name == "broker")
        assert ExtendedKeyUsageOID.CLIENT_AUTH in usage
    names = leaf(steps["first"]["broker"]).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {
        *(f"kafka-{number}.kafka.production.svc" for number in range(3)),
        "kafka-bootstrap.production.svc",
        "localhost",
    }
    assert list(map(str, names.get_values_for_type(x509.IPAddress))) == ["10.1.0.2"]


def test_a_second_deployment_keeps_everything(steps: dict[str, Secrets]) -> None:
    """Byte for byte, so that no pod is restarted."""
    assert steps["again"] == steps["first"]


def test_near_their_end_certificates_are_made_anew(steps: dict[str, Secrets]) -> None:
    """By the same authority."""
    before, after = steps["drop"], steps["late"]
    assert after["authority"] == before["authority"]
    for name in LEAVES:
        assert after[name]["tls.crt"] != before[name]["tls.crt"]
        assert believed(leaf(after[name]), before[name]["ca.crt"])


def test_at_every_step_all_believe_each_other(steps: dict[str, Secrets]) -> None:
    """Whoever has gone a step and whoever has not yet: each shows a certificate that the other trusts."""
    for before, after in pairwise(("first", "trust", "issue", "drop")):
        for one, other in ((before, after), (after, before)):
            for name in LEAVES:
                for peer in LEAVES:
                    assert believed(leaf(steps[one][name]), steps[other][peer]["ca.crt"]), (one, name, other, peer)


@pytest.mark.parametrize(("step", "met"), [("trust", True), ("issue", True), ("drop", False)])
def test_who_began_before_a_rotation_is_served_until_its_last_step(
    steps: dict[str, Secrets], tmp_path: Path, step: str, met: bool
) -> None:
    """A client that knows the old authority alone: brokers show what links it to the new one (RFC 4210, 4.4)."""
    assert served(steps[step]["broker"], steps["first"]["producer"], tmp_path) is met


def served(broker: dict[str, bytes], client: dict[str, bytes], folder: Path) -> bool:
    """Whether a broker and a client agree on a connection, by OpenSSL's judgement."""
    ends = []
    for side, secret in ((ssl.PROTOCOL_TLS_SERVER, broker), (ssl.PROTOCOL_TLS_CLIENT, client)):
        shown = folder / f"{side.name}.pem"
        shown.write_bytes(secret.get("keystore.pem", secret["tls.key"] + secret["tls.crt"]))
        context = ssl.SSLContext(side)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=secret["ca.crt"].decode())
        context.load_cert_chain(shown)
        ends.append(context)
    to_broker, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = ends[0].wrap_bio(to_broker, to_client, server_side=True)
    asking = ends[1].wrap_bio(to_client, to_broker, server_hostname="kafka-0.kafka.production.svc")
    try:
        for _ in range(4):
            for end in (asking, serving):
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
        serving.write(b"served")
        return asking.read(6) == b"served"
    except ssl.SSLError:
        return False


def test_a_rotation_ends_the_trust_in_what_was_before(steps: dict[str, Secrets]) -> None:
    """Beside that it was there until the last step; and nothing of the old authority is kept."""
    old = leaf(steps["first"]["admin"])
    assert believed(old, steps["issue"]["broker"]["ca.crt"])
    assert not believed(old, steps["drop"]["broker"]["ca.crt"])
    assert steps["drop"]["authority"].keys() == {"tls.crt", "tls.key"}
    assert steps["first"]["authority"]["tls.key"] not in steps["issue"]["authority"].values()


@pytest.mark.parametrize("step", ["trust", "drop"])
def test_a_step_about_trust_leaves_certificates_alone(steps: dict[str, Secrets], step: str) -> None:
    """Only who is believed changes."""
    before = STEPS[STEPS.index(step) - 1]
    for name in LEAVES:
        assert steps[step][name]["tls.crt"] == steps[before][name]["tls.crt"]
        assert steps[step][name]["ca.crt"] != steps[before][name]["ca.crt"]
