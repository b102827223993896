"""How a record becomes a prediction. Pure, but for ``streams.worker``."""
