"""Which of many tests have found something, when some would by chance."""

from collections.abc import Sequence


def q_values(p_values: Sequence[float]) -> list[float]:
    """Return for each test the least false discovery rate at which it counts as a discovery.

    Those with a q-value of at most ``rate`` are discoveries, of which a share of at most ``rate`` is false on average,
    however the tests depend on each other. Where nothing is to be found, something is with that probability at most.

    Parameters
    ----------
    p_values
        In [0, 1], one for each test.

    Examples
    --------
    >>> [round(q, 4) for q in q_values([0.5, 0.0001, 0.001])]
    [0.9167, 0.0006, 0.0027]

    References
    ----------
    Benjamini, Yekutieli: The control of the false discovery rate in multiple testing under dependency, Annals of
    Statistics 2001, theorem 1.3.
    """
    count = len(p_values)
    factor = count * sum(1.0 / (i + 1) for i in range(count))
    order = sorted(range(count), key=lambda i: p_values[i], reverse=True)
    found, least = [1.0] * count, 1.0
    for rank, i in zip(range(count, 0, -1), order, strict=True):
        least = min(least, p_values[i] * factor / rank)
        found[i] = least
    return found
