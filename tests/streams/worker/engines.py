"""Which broker a test runs on."""

import pytest

#: ``pytestmark`` of modules whose tests run on the embedded broker in `make test`, and on Apache Kafka in
#: `make test-kafka`.
ON_BOTH = pytest.mark.parametrize(
    "kafka",
    [
        pytest.param("embedded_kafka", id="embedded"),
        pytest.param("apache_kafka", id="kafka", marks=pytest.mark.kafka),
    ],
    indirect=True,
)
