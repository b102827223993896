"""Which partitions of the input topic have their counterparts in the topics that follow it by number."""

import logging
from collections.abc import Callable, Collection, Mapping

from schemas.errors import BrokerError

log = logging.getLogger("riverrun.worker")


class Alignment:
    """Holds back partitions of the input that another topic lacks: what is said of number n goes to number n there.

    The input topic may be given more partitions while workers run. The new ones wait until the others have them, too.

    Parameters
    ----------
    source
        Name of the input topic.
    partitions
        How many it and those that follow it have when the worker starts.
    ask
        Asks the broker how many partitions the input has, and each topic that follows it by number.

    Attributes
    ----------
    partitions
        How many the input had when that was asked last.
    """

    def __init__(self, source: str, partitions: int, ask: Callable[[], Mapping[str, int]]) -> None:
        self.partitions = partitions
        self._source = source
        self._ask = ask
        #: Numbers below it are known to be everywhere: topics do not shrink.
        self._everywhere = partitions
        self._lacking: set[int] = set()

    def lacking(self, partitions: Collection[int]) -> set[int]:
        """Return those of the assigned partitions that some topic lacks, and say once which, and what to do.

        Raises
        ------
        BrokerError
            When no broker answers.
        """
        self._lacking = set()
        if max(partitions, default=-1) >= self._everywhere:
            counts = self._ask()
            self.partitions = counts[self._source]
            self._everywhere = min(counts.values())
            self._lacking = {number for number in partitions if number >= self._everywhere}
            if self._lacking:
                self._say(counts)
        return self._lacking

    def has_grown(self) -> bool:
        """Tell, once, whether a partition that was held back can begin now; ask nobody where none was.

        It may run in a thread of its own: an assignment that comes while the broker is asked has asked for itself.
        """
        lacking = self._lacking
        if not lacking:
            return False
        try:
            everywhere = min(self._ask().values())
        except BrokerError:
            return False  # those that can be worked on will have more to say about that
        if self._lacking is not lacking or min(lacking) >= everywhere:
            return False
        self._lacking = set()
        return True

    def _say(self, counts: Mapping[str, int]) -> None:
        wanted = max(self._lacking) + 1
        log.error(
            "%s: partitions %s wait, the others go on: got %s partitions, expected %d or more: `riverrun topics apply` "
            "adds them, and what waits begins within half a minute, with its first record",
            self._source,
            ", ".join(map(str, sorted(self._lacking))),
            ", ".join(f"{name} {count}" for name, count in counts.items() if count < wanted),
            wanted,
        )
