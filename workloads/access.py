"""Keeps Kafka's rights as they are declared: grants what is missing, and takes away what nobody declared.

A right is Kafka's ACL binding: a principal (the name in a certificate) may do an operation on one topic or group, from
any host. There are no denials: nothing is allowed that is not granted (`allow.everyone.if.no.acl.found=false`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public by the documentation, not by the stub
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from confluent_kafka.admin import AdminClient

Operation = Literal["read", "write", "create", "delete", "alter", "describe", "describe_configs", "alter_configs"]
_ANYWHERE: Final = "*"


class Granted(BaseModel):
    """What a principal may do on a topic or with a group."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    principal: str = Field(min_length=1)
    topic: str | None = None
    group: str | None = None
    operations: tuple[Operation, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Granted:
        if (self.topic is None) == (self.group is None):
            raise ValueError("a right is on a topic or on a group: name one of them")
        return self


class Right(NamedTuple):
    """One binding, in Kafka's own words."""

    principal: str
    host: str
    permission: str
    operation: str
    resource: str
    pattern: str
    name: str

    def __str__(self) -> str:
        """As a log line has it."""
        return f"{self.principal} {self.permission} {self.operation} {self.resource} {self.name} ({self.pattern})"


def rights(declared: Iterable[Granted]) -> set[Right]:
    """Every binding that is declared (pure)."""
    return {
        Right(
            f"User:{one.principal}",
            _ANYWHERE,
            AclPermissionType.ALLOW.name,
            operation.upper(),
            (ResourceType.TOPIC if one.topic is not None else ResourceType.GROUP).name,
            ResourcePatternType.LITERAL.name,
            one.topic if one.topic is not None else str(one.group),
        )
        for one in declared
        for operation in one.operations
    }


def look(admin: AdminClient, seconds: float) -> set[Right]:
    """Every binding that there is.

    Raises:
        KafkaException: The brokers refuse or don't answer.
    """
    whatever: Any = None  # as the library has it, though its annotations don't
    anything = AclBindingFilter(
        ResourceType.ANY,
        whatever,
        ResourcePatternType.ANY,
        whatever,
        whatever,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    return {
        Right(
            one.principal,
            one.host,
            one.permission_type.name,
            one.operation.name,
            one.restype.name,
            one.resource_pattern_type.name,
            one.name,
        )
        for one in admin.describe_acls(anything, request_timeout=seconds).result()
    }


def carry_out(admin: AdminClient, grant: Sequence[Right], take: Sequence[Right], seconds: float) -> None:
    """Grant rights, then take others away.

    Raises:
        KafkaException: A broker refused one of them, or none answered.
    """
    if grant:
        for granted in admin.create_acls([_binding(one) for one in grant], request_timeout=seconds).values():
            granted.result()
    if take:
        for taken in admin.delete_acls([_exactly(one) for one in take], request_timeout=seconds).values():
            taken.result()


def _binding(right: Right) -> AclBinding:
    return AclBinding(*_words(right))


def _exactly(right: Right) -> AclBindingFilter:
    return AclBindingFilter(*_words(right))


def _words(
    right: Right,
) -> tuple[ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType]:
    return (
        ResourceType[right.resource],
        right.name,
        ResourcePatternType[right.pattern],
        right.principal,
        right.host,
        AclOperation[right.operation],
        AclPermissionType[right.permission],
    )
