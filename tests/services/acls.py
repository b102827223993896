"""The rights that docs/security.md lists, granted to users of a broker."""

import re
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.streams.worker.kafka import until

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
_LINE = re.compile(
    r"^\| ([a-z-][a-z, -]*) \| (topic|group|transactional id) \| `(\S+)` \| ([A-Za-z, ]+) \|", re.MULTILINE
)
_SECONDS = 20.0


@dataclass(frozen=True)
class Right:
    """A line of the table.

    Parameters
    ----------
    role
        Who needs it.
    resource, name
        What it is about; a name that ends in ``*`` is the beginning of names.
    operations
        Of Kafka's.
    """

    role: str
    resource: str
    name: str
    operations: tuple[str, ...]

    def bindings(self, user: str) -> list[AclBinding]:
        """Return what Kafka is to be told."""
        kind = ResourceType[self.resource.upper().replace(" ", "_")]
        pattern = ResourcePatternType.PREFIXED if self.name.endswith("*") else ResourcePatternType.LITERAL
        named = kind, self.name.removesuffix("*"), pattern, f"User:{user}", "*"
        words = (re.sub("(?<=[a-z])(?=[A-Z])", "_", one).upper() for one in self.operations)
        return [AclBinding(*named, AclOperation[word], AclPermissionType.ALLOW) for word in words]


def listed(pipeline: str) -> list[Right]:
    """Return the rights that the page lists, for a pipeline."""
    lines = _LINE.findall(_PAGE.read_text(encoding="utf-8"))
    return [
        Right(role, resource, name.replace("<p>", pipeline), tuple(operations.split(", ")))
        for role, resource, name, operations in lines
    ]


def grant(admin: AdminClient, user: str, rights: list[Right]) -> None:
    """Take from a user what he had, give him these rights, and wait until that holds."""
    every = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, f"User:{user}", None, AclOperation.ANY, AclPermissionType.ANY
    )
    for answer in admin.delete_acls([every]).values():
        answer.result(_SECONDS)
    bindings = list(dict.fromkeys(binding for right in rights for binding in right.bindings(user)))
    for answer in admin.create_acls(bindings).values() if bindings else ():
        answer.result(_SECONDS)
    until(lambda: set(admin.describe_acls(every).result(_SECONDS)) == set(bindings), _SECONDS, f"rights of {user}")
