"""A Kafka broker for one machine: for the demo, the tests and a developer's desk.

`Broker` starts, stops and watches the processes of one data directory; what it starts is told by an `Engine`.
`EmbeddedBroker` runs noida-db, a 12 MB binary that is up in less than a second; `KafkaBroker` runs Apache Kafka itself,
one broker or three, and needs Java and Maven.
"""

from services.broker.broker import Broker
from services.broker.embedded import EmbeddedBroker
from services.broker.home import BrokerHome
from services.broker.kafka import KafkaBroker
from services.broker.ports import free_port

__all__ = ["Broker", "BrokerHome", "EmbeddedBroker", "KafkaBroker", "free_port"]
