"""Who we are to Kafka: files named in the environment, all three or none, and what clients are told of them."""

from __future__ import annotations

import ast
import socket
import ssl
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from assay.errors import UsageError
from assay.kafka import clients, identity, overrides
from assay.kafka.quorum import active_controller, request
from assay.pki import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = (identity.AUTHORITIES, identity.CERTIFICATE, identity.KEY)


@pytest.fixture
def authority() -> Authority:
    """The brokers' and clients' authority."""
    return Authority("Kafka of a test")


@pytest.fixture
def named(tmp_path: Path, authority: Authority) -> dict[str, str]:
    """Variables that name the files of a client."""
    certificate, key = authority.issue("admin").write(tmp_path, "admin")
    authorities = tmp_path / "ca.crt"
    authorities.write_bytes(authority.identity.certificate)
    return dict(zip(NAMES, map(str, (authorities, certificate, key)), strict=True))


@pytest.fixture
def known(named: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The same, in this process's environment."""
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    return named


def test_nobody_speaks_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variables no client is told of TLS; one that is empty is as good as none."""
    for name in NAMES:
        monkeypatch.setenv(name, "")
    assert identity.read() is None
    assert [name for name in clients.settings("b:1") if name.startswith(("ssl.", "security."))] == []


def test_clients_of_tests_and_benchmarks_say_who_we_are() -> None:
    """Each that speaks to a platform's brokers, or it would be refused where they want certificates."""
    house = Path(__file__).resolve().parents[3]
    told = ("identity.settings()", "clients.settings(", "client(platform, who)")
    calls = {
        f"{path.relative_to(house)}:{call.lineno}": ast.unparse(call)
        for path in (house / "tests/handmade.py", *house.glob("tests/cluster/*.py"), *house.glob("benchmarks/*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"AdminClient", "Consumer", "Producer"}
    }
    assert len(calls) > len(told)
    assert [where for where, call in calls.items() if not any(one in call for one in told)] == []


def test_every_client_is_told_who_we_are(known: Mapping[str, str]) -> None:
    """TLS, our files, and that the broker's name is checked; librdkafka can use them."""
    settings = clients.settings("b:1")
    assert {name: value for name, value in settings.items() if name.startswith(("ssl.", "security."))} == {
        "security.protocol": "ssl",
        "ssl.endpoint.identification.algorithm": "https",
        "ssl.ca.location": known[identity.AUTHORITIES],
        "ssl.certificate.location": known[identity.CERTIFICATE],
        "ssl.key.location": known[identity.KEY],
    }
    Producer(settings | {"bootstrap.servers": "127.0.0.1:1", "log_level": 0})


@pytest.mark.parametrize("missing", NAMES)
def test_a_part_of_an_identity_is_refused(named: dict[str, str], missing: str) -> None:
    """The sentence names what is not set."""
    with pytest.raises(UsageError, match=f"{missing} is not set"):
        identity.read({**named, missing: ""})


def test_a_file_that_is_not_there_is_refused(named: dict[str, str]) -> None:
    """By name, before a client is made: librdkafka would name none."""
    with pytest.raises(UsageError, match=r"ASSAY_KAFKA_KEY names /nowhere/tls\.key, which is no file"):
        identity.read({**named, identity.KEY: "/nowhere/tls.key"})


def test_the_evidence_names_no_file_of_this_machine(known: Mapping[str, str]) -> None:
    """That it was TLS is a fact of a run; where the keys lie is not."""
    told = overrides.effective({})
    assert told["security.protocol"] == "ssl"
    assert [value for value in told.values() if value in known.values()] == []


def test_a_load_sends_as_the_producer_where_there_is_one(named: dict[str, str]) -> None:
    """Whoever asks and reads may do more than send; the authorities are the same."""
    assert identity.producer(named) == named
    both = {**named, identity.PRODUCER_CERTIFICATE: "/p.crt", identity.PRODUCER_KEY: "/p.key"}
    assert identity.producer(both) == {**both, identity.CERTIFICATE: "/p.crt", identity.KEY: "/p.key"}


def guarded(authority: Authority, folder: Path, reply: bytes, asked: list[bytes]) -> tuple[int, threading.Thread]:
    """A server for `localhost` that wants a certificate of this authority and answers one connection; its port."""
    certificate, key = authority.issue("broker", hosts=["localhost"]).write(folder, "broker")
    (folder / "trusted.crt").write_bytes(authority.identity.certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "trusted.crt"))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    listening = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        with listening:
            plain, _ = listening.accept()
            with plain:
                try:
                    with context.wrap_socket(plain, server_side=True) as connection:
                        asked.append(connection.recv(1000))
                        connection.sendall(reply)
                except OSError:
                    pass

    thread = threading.Thread(target=work)
    thread.start()
    return listening.getsockname()[1], thread


@pytest.mark.usefixtures("known")
def test_the_quorum_is_asked_as_who_we_are(authority: Authority, tmp_path: Path) -> None:
    """Over TLS with our certificate, which the server demands; the question is the same."""
    name = b"__cluster_metadata"
    answer = struct.pack(">iBh", 1, 0, 0) + struct.pack(f">BB{len(name)}s", 2, len(name) + 1, name)
    answer += struct.pack(">Bihiiq", 2, 0, 0, 1, 7, 4711)
    asked: list[bytes] = []
    port, thread = guarded(authority, tmp_path, struct.pack(">i", len(answer)) + answer, asked)
    assert active_controller(f"localhost:{port}", 5) == 1
    thread.join()
    assert asked == [struct.pack(">i", len(request())) + request()]


@pytest.mark.usefixtures("known")
def test_a_broker_of_another_authority_is_not_believed(tmp_path: Path) -> None:
    """Whoever shows a certificate of somebody else is told nothing."""
    asked: list[bytes] = []
    other = tmp_path / "other"
    other.mkdir()
    port, thread = guarded(Authority("somebody else"), other, b"", asked)
    with pytest.raises(Exception, match="certificate verify failed"):
        active_controller(f"localhost:{port}", 5)
    thread.join()
    assert asked == []
