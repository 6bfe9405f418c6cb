"""Topics are brought to what is declared: the missing made, the differing put right, the impossible said."""

from __future__ import annotations

import http.client
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from workloads.topics import Declaration, Declared, Plan, Seen, Status, plan, reconcile, serve

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

PRICES = Declared(name="prices", partitions=3, replication_factor=3, settings={"min.insync.replicas": "2"})


def test_a_topic_that_is_as_declared_needs_nothing() -> None:
    """Settings that the declaration does not name are left alone."""
    seen = {"prices": Seen(3, 3, {"min.insync.replicas": "2", "retention.ms": "604800000"})}
    assert plan([PRICES], seen).empty


def test_a_missing_topic_is_made() -> None:
    """With its partitions, replicas and settings, in one request."""
    assert plan([PRICES], {}) == Plan(create=(PRICES,))


def test_a_setting_that_somebody_changed_is_put_right() -> None:
    """Only that one."""
    assert plan([PRICES], {"prices": Seen(3, 3, {"min.insync.replicas": "1"})}) == Plan(
        alter=(("prices", "min.insync.replicas", "2"),)
    )


def test_missing_partitions_are_added() -> None:
    """Kafka can add them at any time."""
    assert plan([PRICES], {"prices": Seen(1, 3, PRICES.settings)}) == Plan(grow=(("prices", 3),))


@pytest.mark.parametrize(
    ("seen", "said"),
    [(Seen(5, 3, PRICES.settings), "5 partitions"), (Seen(3, 1, PRICES.settings), "1 replicas, not 3")],
)
def test_what_cannot_be_done_in_place_is_said(seen: Seen, said: str) -> None:
    """Fewer partitions, another number of replicas: nothing is done, and the topics are not as declared."""
    todo = plan([PRICES], {"prices": seen})
    assert not todo.empty
    assert (todo.create, todo.grow, todo.alter) == ((), (), ())
    assert said in todo.impossible[0]


class Brokers:
    """So many brokers, without a topic."""

    def __init__(self, count: int) -> None:
        """Nothing was asked of them."""
        self.count = count
        self.made: list[str] = []

    def list_topics(self, **_: Any) -> Any:
        """Who is there."""
        return SimpleNamespace(topics={}, brokers=dict.fromkeys(range(self.count)))

    def create_topics(self, topics: list[Any], **_: Any) -> dict[str, Any]:
        """Remember it."""
        self.made += [topic.topic for topic in topics]
        return {}


@pytest.mark.parametrize(("there", "made"), [(2, []), (3, ["prices"])])
def test_topics_are_made_when_all_brokers_are_there(there: int, made: list[str]) -> None:
    """One made earlier would never be led by the broker that comes later; until then the reason is said."""
    brokers = Brokers(there)
    reason = reconcile(cast("AdminClient", brokers), Declaration(topics=(PRICES,), brokers=3))
    assert brokers.made == made
    assert ("2 of 3 brokers are there" in reason) is (there == 2)


@pytest.mark.parametrize("wrong", ['{"topics": [{"name": "a"}]}', '{"topic": []}', "[]", "nonsense"])
def test_a_wrong_declaration_is_refused(wrong: str) -> None:
    """Before any broker is asked."""
    with pytest.raises(ValueError, match="validation error"):
        Declaration.model_validate_json(wrong)


def test_readiness_is_the_topics_state_and_its_reason() -> None:
    """503 with the reason until the topics are as declared, then 200; no other path answers."""
    status = Status()
    server = serve(status, 0)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
        status.reason = "the brokers don't answer"
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (503, b"the brokers don't answer\n")
        status.reason = ""
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"the topics are as declared\n")
        connection.request("GET", "/")
        assert connection.getresponse().status == 404
    finally:
        server.shutdown()
