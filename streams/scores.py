"""Scores as predictions carry them."""

from typing import Any


def binary_score(score: Any) -> float | None:
    """Return the probability of the positive class.

    Examples
    --------
    >>> binary_score({False: 0.25, True: 0.75})
    0.75
    """
    return float(score.get(True, 0.0)) if score else None


def public_score(score: Any) -> Any:
    """Return class probabilities or an anomaly score as a prediction carries them.

    Examples
    --------
    >>> public_score({1: 0.25, 2: 0.75})
    {'1': 0.25, '2': 0.75}
    """
    if isinstance(score, dict):
        return {str(label): float(probability) for label, probability in score.items()}
    return None if score is None else float(score)
