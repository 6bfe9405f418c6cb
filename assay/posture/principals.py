"""Kafka's principals: who is not known is not answered, and who is may do what it is for, and nothing else.

Nothing is written or changed: what would be is asked for by Kafka's own dry run (`validate_only`), and what a principal
may do is the brokers' own answer to it (KIP-430). In plain text everybody is the same principal, who may do everything.
"""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay import credentials, pods
from assay.errors import AssayError
from assay.kafka import metadata
from assay.kafka.admin import Admin
from assay.kafka.authorization import Asker, Denied
from assay.kafka.identity import Identity
from assay.pki import Authority
from assay.platform import DEAD_LETTERS, GROUP, REJECTS, TOPIC
from assay.posture.authorities import nsa
from assay.posture.probe import Attempt, Finding, Probe, Result, denied_all, held, unverifiable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assay.posture.scene import Scene

CERTIFICATE: Final = Probe(
    name="kafka/certificate",
    tried="ask the brokers for their topics without a certificate, and with another authority's that names the admin",
    authorities=(nsa("Authentication"),),
    remedy="Have the brokers want a certificate (ssl.client.auth=required) of an authority of their own alone.",
)
PLAIN_TEXT: Final = Probe(
    name="kafka/plain-text",
    tried="ask every listener of a broker for its versions in plain text, from within the broker's pod",
    authorities=(nsa("Encryption"),),
    remedy="Map every listener, the controllers' too, to SSL (listener.security.protocol.map).",
)
ADMINISTRATION: Final = Probe(
    name="kafka/administration",
    tried=f"make a topic, and change a setting of {TOPIC}, as each principal, by Kafka's dry run",
    authorities=(nsa("Authentication and authorization"),),
    remedy="Take the right away (`kafka-acls.sh --remove`): the program that keeps the rights, kafka-topics, does.",
)
RIGHTS: Final = Probe(
    name="kafka/rights",
    tried="ask the brokers, as each principal, what it may do with each topic and the consumers' group",
    authorities=(nsa("Authentication and authorization"),),
    remedy="Grant what platform_topics_access says, and nothing else: the program kafka-topics does.",
)
#: Where nothing is guarded at all.
_GUARD: Final = "Provision the platform anew with platform_kafka_security=mtls."
PROBES: Final = (CERTIFICATE, PLAIN_TEXT, ADMINISTRATION, RIGHTS)

#: Whose rights are looked at; the admin and the brokers may do everything.
PRINCIPALS: Final = ("producer", "consumer", "etl")
_ADMIN: Final = "admin"
TOPICS: Final = (TOPIC, DEAD_LETTERS, REJECTS)
#: What each may do with what, and nothing else. Written down once more and on purpose, never read from what is judged
#: (playbooks/roles/platform_topics). Whoever may read or write something may look at it.
INTENDED: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("producer", TOPIC): frozenset({"WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}),
    ("consumer", TOPIC): frozenset({"READ", "DESCRIBE"}),
    ("consumer", DEAD_LETTERS): frozenset({"WRITE", "DESCRIBE"}),
    ("consumer", GROUP): frozenset({"READ", "DESCRIBE"}),
    ("etl", TOPIC): frozenset({"WRITE", "DESCRIBE"}),
    ("etl", REJECTS): frozenset({"WRITE", "DESCRIBE"}),
}
#: The listeners of a broker, by port: replication, clients within, controllers, clients outside.
LISTENERS: Final = (9091, 9092, 9093, 9094)
#: An ApiVersions request (key 18, version 0, correlation 1, no client id), and the beginning of its answer in hex: the
#: correlation stands behind the length. A listener that speaks TLS ends the connection, or sends an alert.
_REQUEST: Final = r"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff"
_CORRELATION: Final = "00000001"
_ASK: Final = (
    "exec 3<>/dev/tcp/127.0.0.1/{port} || exit 9; printf '{request}' >&3; timeout 5 head -c 8 <&3 | od -An -v -tx1"
)
_NOBODY_LISTENS: Final = 9


def judge_plain(answers: Mapping[int, str | None], replicating: str | None) -> Finding:
    """What plain text shows.

    Args:
        answers: By port, the first bytes of the answer, in hex; empty: the connection was ended; None: nobody listens.
        replicating: Why it is not known that brokers work at all; None: they do.
    """
    attempts = {}
    for port, answer in answers.items():
        if answer is None:
            attempts[f"port {port}"] = Attempt(Result.UNVERIFIABLE, "nobody listens")
        elif answer[8:] == _CORRELATION:
            attempts[f"port {port}"] = Attempt(Result.ALLOWED, "it answered")
        else:
            attempts[f"port {port}"] = Attempt(Result.REFUSED)
    control = Attempt(Result.ALLOWED) if replicating is None else Attempt(Result.UNVERIFIABLE, replicating)
    controlled = "brokers follow each other over their listeners: every replica is in sync"
    return denied_all(PLAIN_TEXT, attempts, dict.fromkeys(attempts, control), controlled)


def judge_rights(found: Mapping[tuple[str, str], frozenset[str] | Denied]) -> Finding:
    """Hold what each may do with what against `INTENDED`; a denial says why it is not known."""
    wrong, unseen = [], []
    for (principal, what), operations in found.items():
        intended = INTENDED.get((principal, what), frozenset())
        if isinstance(operations, Denied):
            unseen.append(f"{principal} and {what}: {operations.said}")
            continue
        wrong += [f"{principal} may {one} {what}" for one in sorted(operations - intended)]
        wrong += [f"{principal} may not {one} {what}" for one in sorted(intended - operations)]
    pairs = "pairs of a principal and what it might use, each as it is meant"
    return held(RIGHTS, len(found) - len(unseen), pairs, wrong, unseen)


def refused(why: Denied | None) -> Attempt:
    """What the brokers' answer to a dry run means; one that is not about rights shows nothing."""
    if why is None:
        return Attempt(Result.ALLOWED)
    return Attempt(Result.REFUSED if why.unauthorized else Result.UNVERIFIABLE, why.said)


def look(scene: Scene) -> Iterator[Finding]:
    """Ask as everybody, and as nobody."""
    bootstrap = scene.platform.bootstrap()
    if not credentials.wanted(scene.platform):
        yield from _nobody_is_known(scene, bootstrap)
        return
    known = {name: credentials.fetch(scene.platform, name) for name in (_ADMIN, *PRINCIPALS)}
    asked = {name: Asker(bootstrap, who) for name, who in known.items()}
    yield _strangers(bootstrap, known[_ADMIN], asked[_ADMIN])
    yield _plain(scene, bootstrap)
    yield _administration(asked)
    yield judge_rights(
        {
            (name, what): operations
            for name in PRINCIPALS
            for what, operations in asked[name].operations(TOPICS, GROUP).items()
        }
    )


def _nobody_is_known(scene: Scene, bootstrap: str) -> Iterator[Finding]:
    """The platform says itself that it is in plain text: what that lets through is tried all the same."""
    yield denied_all(CERTIFICATE, {"in plain text": _served(Asker(bootstrap, None))}, {}, "", _GUARD)
    yield _plain(scene, bootstrap)
    for probe in (ADMINISTRATION, RIGHTS):
        yield unverifiable(probe, "Kafka speaks plain text, so that nobody has a name by which to have rights", _GUARD)


def _strangers(bootstrap: str, admin: Identity, control: Asker) -> Finding:
    """Who shows no certificate, or one of another authority, beside the admin, who is the control."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Authority("somebody else").issue(_ADMIN).write(Path(folder), _ADMIN)
        other = Identity(admin.authorities, *pair)
        forbidden = {
            "without one": _served(Asker(bootstrap, admin, anonymous=True)),
            "with another authority's": _served(Asker(bootstrap, other)),
        }
    controls = dict.fromkeys(forbidden, _served(control))
    return denied_all(CERTIFICATE, forbidden, controls, "with the admin's own they answer")


def _served(who: Asker) -> Attempt:
    why = who.served()
    return Attempt(Result.ALLOWED, "they answered") if why is None else Attempt(Result.REFUSED, why.said)


def _plain(scene: Scene, bootstrap: str) -> Finding:
    broker = min(pod.metadata.name for pod in scene.platform.pods("kafka"))
    answers: dict[int, str | None] = {}
    for port in LISTENERS:
        command = ["bash", "-c", _ASK.format(port=port, request=_REQUEST)]
        done = pods.execute(scene.platform, broker, command)
        answers[port] = None if done.exit_code == _NOBODY_LISTENS else "".join(done.stdout.split())
    try:
        behind = metadata.under_replicated(Admin(bootstrap))
    except AssayError as error:
        return judge_plain(answers, str(error))
    return judge_plain(answers, f"{len(behind)} partitions are not in sync" if behind else None)


def _administration(asked: Mapping[str, Asker]) -> Finding:
    name = f"assay-posture-{secrets.token_hex(4)}"

    def tried(who: Asker) -> dict[str, Attempt]:
        return {
            "make a topic": refused(who.make_topic(name)),
            "change a setting": refused(who.set_retention(TOPIC)),
        }

    allowed = tried(asked[_ADMIN])
    forbidden, controls = {}, {}
    for principal in PRINCIPALS:
        for what, attempt in tried(asked[principal]).items():
            forbidden[f"{principal}, to {what}"] = attempt
            controls[f"{principal}, to {what}"] = allowed[what]
    return denied_all(ADMINISTRATION, forbidden, controls, "the admin may")
