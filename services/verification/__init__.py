"""Whether a prediction can be made again: found, rebuilt from snapshot and log, and compared."""

from services.verification.comparison import Verification, verify
from services.verification.rebuilding import Rebuilder
from services.verification.search import Found, NotFound, PredictionSearch

__all__ = ["Found", "NotFound", "PredictionSearch", "Rebuilder", "Verification", "verify"]
