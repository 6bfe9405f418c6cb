"""What brokers let somebody do, asked without doing it: Kafka's dry runs, and the rights that they tell (KIP-430)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from assay.kafka import clients

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from assay.kafka.identity import Identity

#: How long brokers may take to answer, in seconds.
ANSWER_SECONDS: Final = 5.0
_UNAUTHORIZED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
#: What says who a client is, besides whom it trusts.
_OF_IDENTITY: Final = frozenset({"ssl.certificate.location", "ssl.key.location"})


@dataclass(frozen=True)
class Denied:
    """Why something would not be done.

    Attributes:
        unauthorized: Whether it is for want of the right.
        said: The brokers' words, or the client's.
    """

    unauthorized: bool
    said: str


def denied(error: KafkaError) -> Denied:
    """An error as a denial (pure)."""
    return Denied(error.code() in _UNAUTHORIZED, error.str() or error.name())


class Asker:
    """Asks the brokers at `bootstrap` what `who` may do; None: nobody, in plain text."""

    def __init__(self, bootstrap: str, who: Identity | None, *, anonymous: bool = False) -> None:
        """Connect to nobody yet; `anonymous`: over TLS, and without showing the certificate."""
        settings = clients.settings(bootstrap, {} if who is None else who.client())
        left_out = _OF_IDENTITY if anonymous else frozenset()
        self._client = AdminClient({name: value for name, value in settings.items() if name not in left_out})

    def served(self) -> Denied | None:
        """Why the brokers do not tell their topics; None: they do."""
        try:
            self._client.list_topics(timeout=ANSWER_SECONDS)
        except KafkaException as error:
            return denied(error.args[0])
        return None

    def make_topic(self, name: str) -> Denied | None:
        """Why a topic of one partition would not be made; None: it would. None is made."""
        asked = [NewTopic(name, 1, 1)]
        answers = self._client.create_topics(asked, validate_only=True, request_timeout=ANSWER_SECONDS)
        return _denied(answers[name])

    def set_retention(self, topic: str) -> Denied | None:
        """Why a topic's `retention.ms` would not be changed; None: it would. It is not."""
        entry = ConfigEntry("retention.ms", "604800000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        asked = {"validate_only": True, "request_timeout": ANSWER_SECONDS}
        return _denied(self._client.incremental_alter_configs([resource], **asked)[resource])

    def operations(self, topics: Sequence[str], group: str) -> Mapping[str, frozenset[str] | Denied]:
        """What may be done with each topic and the group, by Kafka's names of operations.

        Who may not even look at something may do nothing with it; any other denial says that it is not known.
        """
        more: dict[str, Any] = {"include_authorized_operations": True, "request_timeout": ANSWER_SECONDS}
        answers: dict[str, Future[Any]] = {
            **self._client.describe_topics(TopicCollection(list(topics)), **more),
            **self._client.describe_consumer_groups([group], **more),
        }
        found: dict[str, frozenset[str] | Denied] = {}
        for what, future in answers.items():
            why = _denied(future)
            if why is None:
                found[what] = frozenset(one.name for one in future.result().authorized_operations or ())
            else:
                found[what] = frozenset() if why.unauthorized else why
        return found


def _denied(future: Future[Any]) -> Denied | None:
    try:
        future.result(2 * ANSWER_SECONDS)
    except KafkaException as error:
        return denied(error.args[0])
    return None
