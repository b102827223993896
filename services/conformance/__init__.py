"""Does a broker keep what exactly-once is built on? Four checks with real clients, and a verdict kept on the cluster.

`probe` runs the `checks`, each at a `Site` of its own; `store` keeps what they found. What a worker makes of it is told
by `streams.worker.conformance`.
"""

from services.conformance.probe import probe, store
from services.conformance.site import Clients

__all__ = ["Clients", "probe", "store"]
