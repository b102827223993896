"""The broker and the keys of the worker's tests, for commands that are tested beside a real worker."""

from tests.streams.worker.conftest import embedded_kafka, kafka, keys

__all__ = ["embedded_kafka", "kafka", "keys"]
