"""The books: every record read has exactly one outcome."""

from typing import Any

#: Outcome → what it means. Per partition, records read = the sum of these.
OUTCOMES = {
    "scored": "events that were scored",
    "duplicate_event": "events whose id was seen before, within the dedupe window",
    "label_joined": "labels that met their event",
    "label_early": "labels that came before their event and met it later",
    "label_held": "labels waiting for their event",
    "label_late": "labels that came after the event's time to live",
    "label_orphan": "labels whose event never came within the time to live",
    "label_duplicate": "labels that said again what was known",
    "label_corrected": "labels that contradicted the one before: metrics corrected, model not unlearned",
    "label_evicted": "labels whose event, or that themselves, fell out of a full buffer",
    "label_misrouted": "labels of unknown events whose key belongs to another partition",
    "command_obeyed": "commands that were obeyed",
    "command_refused": "commands that were not obeyed",
    "command_other": "commands to another pipeline that reads the same topic",
    "dead_letter": "records that could not be used",
    "skipped": "positions passed over on purpose",
}

#: Further counters, which do not add up to anything.
REMARKS = {
    "assumed": "labels assumed when the time to live was over",
    "expired": "events that were forgotten without a label",
    "evicted": "events that fell out of the full buffer of pending labels",
    "time_leap": "events whose time lay far ahead of the watermark",
    "foreign_key": "events whose key belongs to another partition, by every 64th: another partitioner",
    "loss_fell": "change points where the loss fell",
    "loss_unit_changed": "times the unit of a regression's loss became another one",
    "alarm_suppressed": "alarms during the cool-down, of a loss no higher than was told",
    "other_category": "values beyond max_categories, learned as __other__",
    "model_error": "exceptions inside a model",
    "metric_error": "answers that a cumulative metric raised at, and knows nothing of",
    "action_suppressed": "labelled events at which a better model was held back",
    "entity_evicted": "entities whose model had to make room for another one's, of the champion's",
    "shared_answered": "events that the shared model answered: their entity's own had learned too little",
    "shadow_error": "exceptions inside a model that does not serve",
    "not_frozen": "copies of a champion that could not be taken: too deep or too large to pickle",
}


class Books:
    """Counts of one partition.

    Examples
    --------
    >>> books = Books()
    >>> books.count["scored"] += 1
    >>> books.read = 1
    >>> books.balanced
    True
    """

    def __init__(self) -> None:
        self.read = 0
        self.count = dict.fromkeys((*OUTCOMES, *REMARKS), 0)

    @property
    def balanced(self) -> bool:
        """Whether each record read has one outcome."""
        return self.read == sum(self.count[outcome] for outcome in OUTCOMES)

    def snapshot(self) -> Any:
        """Return the state."""
        return self.read, dict(self.count)

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self.read, count = state
        self.count |= count
