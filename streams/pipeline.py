"""What a user declares: features, label, model, and what is to happen when the world changes."""

import copy
import pickle
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal

from river import active, base

from schemas import topics
from schemas.errors import DeclarationError, NotPicklableError
from schemas.topics import Topic, topic_table
from streams import pickling
from streams.declaration import digest
from streams.drift import Drift
from streams.entity_models import EntityModels
from streams.feature import Feature, to_feature
from streams.label import Label, TaskKind
from streams.metric_check import check_metrics, usual_metrics
from streams.per_key import PerKey
from streams.policy import ChampionVersions, ObserveOnly, Policy, ResetOnDrift
from streams.race import Race
from streams.seeding import Blueprint, seeded
from streams.unlearned import learned_part
from streams.verbs import answers_by_probabilities, last_step, tells_probabilities
from streams.watch import Watch

_LABEL = 6
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MODELS: dict[TaskKind, tuple[type, str]] = {
    "binary": (base.Classifier, "a River classifier"),
    "multiclass": (base.Classifier, "a River classifier"),
    "regression": (base.Regressor, "a River regressor"),
    "anomaly": (object, "a River anomaly detector"),
}


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A pipeline: one model per partition that scores each event and learns from each label.

    Parameters
    ----------
    name
        Letters, digits, dots, dashes: the prefix of its topics, at most 100 characters.
    features
        Type or `Feature` by name, in the order in which the model sees them. ``float | None`` may be missing.
    label
        What the model learns; None for an anomaly detector that gets no labels.
    model
        A River model, unlearned, for so does each version begin; `riverrun models import` brings what was trained
        elsewhere. Missing seeds are filled in from pipeline, version
        and place in the model, so that a replay gives the same answers.
    model_per
        ``"key"``, or a `PerKey`: a model for each record key, a bounded number of them. None for one model a partition.
    task
        ``"binary"``, ``"multiclass"``, ``"regression"`` or ``"anomaly"``; follows from the label's type.
    drift
        How drift of the loss is looked for.
    policy
        What is done about it: `ObserveOnly`, `ResetOnDrift`, `BackgroundChallenger`, `ChampionVersions` or `Pool`. None
        stands for ``ChampionVersions()``, or for ``ObserveOnly()`` where no labels come: without them only an operator
        makes another model serve, for which `ChampionVersions` keeps the versions.
    race
        Other models that learn beside it, and take over when they are better; None for no others.
    watch
        How features and predictions are watched before labels come, and the accuracy estimated; None for not at all.
    metrics
        River metrics, or ``utils.Rolling(metrics.Accuracy, 1000)``, updated prequentially: with the
        prediction made before the label was known. The default is one rolling metric over 1,000 labels.
    id_field
        Field of the event that holds its id, where no ``ce_id`` header brings one.
    source
        Input topic; ``<name>.raw`` unless several pipelines read the same.
    partitions
        Partitions of the topics: as many workers can share the load, each partition with a model of its own.
    max_leap
        Largest step of the event-time watermark. Larger ones are flagged and, unless the next record confirms
        them, do not move it: one record of a wrong clock expires nothing that waits for labels.
    dedupe_window
        Number of newest event ids by which duplicates, corrections and late labels are told. Raising it costs
        memory, some 300 bytes each.
    max_pending_bytes
        Bound on the events that wait for labels, per partition; the oldest are evicted, and counted.
    max_record_bytes
        Largest record taken; larger ones are dead letters.
    output_format
        ``"json"`` or ``"avro"``, for predictions and lifecycle events.

    Raises
    ------
    DeclarationError
        When the declaration cannot work, naming pipeline and field.

    Examples
    --------
    >>> from river import linear_model, preprocessing
    >>> pipeline = Pipeline(
    ...     "flights",
    ...     features={"distance": float, "temp": float | None},
    ...     label=Label("late", type=bool, ttl=timedelta(days=2)),
    ...     model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    ... )
    >>> pipeline.kind, [topic.name for topic in pipeline.topics][:2]
    ('binary', ['flights.raw', 'flights.predictions'])
    """

    name: str
    features: Mapping[str, Any]
    label: Label | None
    model: Any
    _: KW_ONLY
    model_per: PerKey | Literal["key"] | None = None
    task: TaskKind | None = None
    drift: Drift = field(default_factory=Drift)
    policy: Policy | None = None
    race: Race | None = None
    watch: Watch | None = None
    metrics: Sequence[Any] | None = None
    id_field: str | None = None
    source: str | None = None
    partitions: int = 1
    max_leap: timedelta = timedelta(hours=24)
    dedupe_window: int = 50_000
    max_pending_bytes: int = 256 * 1024 * 1024
    max_record_bytes: int = 1024 * 1024
    output_format: Literal["json", "avro"] = "json"

    def __post_init__(self) -> None:
        try:
            self._check()
        except DeclarationError as error:
            error.pipeline = self.name if error.field != "name" else ""
            raise

    def _check(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DeclarationError("name", self.name, "1 to 100 letters, digits, dots or dashes")
        if not isinstance(self.features, Mapping) or not self.features:
            raise DeclarationError("features", self.features, "a dict of at least one feature")
        for name in self.features:
            if not isinstance(name, str) or not name:
                raise DeclarationError(f"features[{name!r}]", name, "the name of a field")
        declared = {name: to_feature(f"features[{name!r}]", kind) for name, kind in self.features.items()}
        object.__setattr__(self, "features", declared)
        self._check_label()
        self._check_model_per()
        self._check_model("model", self.model)
        self._check_race()
        if self.policy is None:
            object.__setattr__(self, "policy", ObserveOnly() if self.label is None else ChampionVersions())
        parts = (
            ("drift", self.drift, Drift, "a Drift"),
            ("policy", self.policy, Policy, "a policy such as ChampionVersions() or ObserveOnly()"),
        )
        for part, value, kinds, words in parts:
            if not isinstance(value, kinds):
                raise DeclarationError(part, value, words)
            value.check()
        if self.label is None and isinstance(self.policy, ResetOnDrift):
            expected = "ObserveOnly(), or None: without labels there is no loss in which drift could be found"
            raise DeclarationError("policy", self.policy, expected)
        self.drift.check_against(self.kind, declared, self.label)
        if self.watch is not None:
            if not isinstance(self.watch, Watch):
                raise DeclarationError("watch", self.watch, "a Watch, or None")
            self.watch.check(self.features)
        self._check_metrics()
        self._check_numbers()

    @property
    def kind(self) -> TaskKind:
        """The task kind: declared, or as the label's type says."""
        if self.task is not None:
            return self.task
        return "anomaly" if self.label is None else self.label.kind

    @property
    def source_topic(self) -> str:
        """Name of the input topic."""
        return self.source or topics.raw(self.name)

    @property
    def topics(self) -> list[Topic]:
        """The topics it needs."""
        return topic_table(self.name, self.source_topic, max_record_bytes=self.max_record_bytes)

    @cached_property
    def declaration(self) -> str:
        """Digest of all that can change an answer, 12 hexadecimal digits."""
        changing = {name: getattr(self, name) for name in _ANSWER_FIELDS}
        changing |= {name: value for name in ("race", "model_per") if (value := getattr(self, name)) is not None}
        return digest({**changing, "kind": self.kind})

    @cached_property
    def declared(self) -> dict[str, str]:
        """Digest of each declared field, by its name: what two declarations differ in."""
        fields = {name: getattr(self, name) for name in (*_ANSWER_FIELDS, "kind", "metrics")}
        later = ("race", "watch", "model_per")
        fields |= {name: value for name in later if (value := getattr(self, name)) is not None}
        return {name: digest(value) for name, value in fields.items()}

    @cached_property
    def classes(self) -> Collection[Any]:
        """Classes that the declaration brings along: they may stand in a snapshot beside River's."""
        detector = copy.deepcopy(self.drift.detector)
        fresh = [self.fresh_model(f"v1-{label}") for label in self.candidates]
        return pickling.globals_of([*fresh, detector, *(self.metrics or ())])

    @cached_property
    def candidates(self) -> dict[str, Any]:
        """All models that are declared, by label: the model's is empty, of one that races six digits of its digest."""
        return {"": self.model, **{digest(model)[:_LABEL]: model for model in (self.race.models if self.race else ())}}

    @cached_property
    def _blueprints(self) -> dict[str, Blueprint]:
        return {label: Blueprint(model, self.name, "model") for label, model in self.candidates.items()}

    @cached_property
    def model_name(self) -> str:
        """Class name of the model, of its last step for a River pipeline."""
        return type(last_step(self.model)).__name__

    def avro_fields(self) -> dict[str, tuple[type, bool]]:
        """Return type and whether it may be null of each field of an event."""
        fields: dict[str, tuple[type, bool]] = {}
        if self.id_field is not None and self.id_field not in self.features:
            fields[self.id_field] = (str, False)
        fields |= {name: (feature.type, feature.nullable) for name, feature in self.features.items()}
        if self.label is not None:
            fields[self.label.name] = (self.label.type, True)
        return fields

    def fresh_model(self, version: str) -> Any:
        """Return a model as declared, unlearned, its seeds filled in for a version.

        Parameters
        ----------
        version
            Such as ``v1``; such as ``v7-a3f9c1`` of a model that races, `candidates` has its label. One that another
            declaration knew stands for the model.
        """
        label = label_of(version)
        blueprint = self._blueprints[label if label in self._blueprints else ""]
        return self._per_entity(blueprint.copy(self.name, version, "model"))

    def _per_entity(self, fresh: Any) -> Any:
        if not isinstance(self.model_per, PerKey):
            return fresh
        return EntityModels(fresh, self.model_per.most, self.model_per.min_learned)

    def _check_label(self) -> None:
        if self.task is not None and self.task not in tuple(_MODELS):
            raise DeclarationError("task", self.task, "'binary', 'multiclass', 'regression' or 'anomaly'")
        if self.label is None:
            if self.task not in (None, "anomaly"):
                raise DeclarationError("label", None, f"a Label, since the task is {self.task}")
            return
        if not isinstance(self.label, Label):
            raise DeclarationError("label", self.label, "a Label, or None for an anomaly detector")
        self.label.check()
        if self.label.name in self.features:
            raise DeclarationError("label.name", self.label.name, "a field that is no feature: the model would see it")
        allowed = {"binary": (bool,), "multiclass": (str, int, bool), "regression": (float,), "anomaly": (bool,)}
        if self.label.type not in allowed[self.kind]:
            names = " or ".join(kind.__name__ for kind in allowed[self.kind])
            raise DeclarationError("label.type", self.label.type, f"{names} for a {self.kind} task")
        if self.id_field is not None and self.id_field == self.label.name:
            raise DeclarationError("id_field", self.id_field, "another field than the label")

    def _check_model_per(self) -> None:
        if self.model_per == "key":
            object.__setattr__(self, "model_per", PerKey())
        if isinstance(self.model_per, PerKey):
            self.model_per.check()
        elif self.model_per is not None:
            raise DeclarationError("model_per", self.model_per, "'key', a PerKey, or None")

    def _check_model(self, field: str, model: Any) -> None:
        if isinstance(model, type) or not isinstance(model, base.Base):
            raise DeclarationError(field, model, "an instance of a River model")
        last = last_step(model)
        wanted, words = _MODELS[self.kind]
        many_answers = (active.base.ActiveLearningClassifier, base.MultiTargetRegressor, base.MultiLabelClassifier)
        if isinstance(last, many_answers):
            raise DeclarationError(field, type(last).__name__, f"{words} with one answer and one label an event")
        fits = hasattr(last, "score_one") if self.kind == "anomaly" else isinstance(last, wanted)
        if not fits:
            raise DeclarationError(field, type(last).__name__, f"{words} for a {self.kind} task")
        if isinstance(last, base.SupervisedAnomalyDetector):
            raise DeclarationError(
                field, type(last).__name__, f"{words} that scores an event before its label is known"
            )
        if self.kind == "multiclass" and not getattr(last, "_multiclass", True):
            raise DeclarationError(field, type(last).__name__, "a multiclass classifier, e.g. OneVsRestClassifier(…)")
        if self.kind != "anomaly" and answers_by_probabilities(model) and not tells_probabilities(model, self.kind):
            expected = "a classifier with predict_one or predict_proba_one; the wrapped one has none of the latter"
            raise DeclarationError(field, type(last).__name__, expected)
        try:
            pickle.dumps(self._per_entity(seeded(model, self.name, "v1", "model")))
        except (AttributeError, TypeError, pickle.PicklingError, NotPicklableError) as error:
            expected = "a model that pickle takes: functions that can be imported, no lambdas"
            raise DeclarationError(field, str(error), expected) from error
        learned = learned_part(model)
        if learned:
            expected = (
                "its clone(), for each version begins unlearned; `riverrun models import` brings what has learned"
            )
            raise DeclarationError(field, f"{learned} that has learned, or was asked", expected)

    def _check_race(self) -> None:
        if self.race is None:
            return
        if not isinstance(self.race, Race):
            raise DeclarationError("race", self.race, "a Race, or None")
        self.race.check()
        if self.label is None:
            raise DeclarationError("race", self.race, "None: without labels there is nothing to be better at")
        known = {digest(self.model): "model"}
        for i, model in enumerate(self.race.models):
            field = f"race.models[{i}]"
            self._check_model(field, model)
            other = known.setdefault(digest(model), field)
            if other != field:
                expected = "a model that differs from it in class or parameters"
                raise DeclarationError(field, f"the same as {other}", expected)

    def _check_metrics(self) -> None:
        if self.metrics is None:
            object.__setattr__(self, "metrics", usual_metrics(self.kind))
        for model in (self.model, *(self.race.models if self.race is not None else ())):
            check_metrics(self.metrics, model, self.kind)

    def _check_numbers(self) -> None:
        for name in ("partitions", "dedupe_window", "max_pending_bytes", "max_record_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise DeclarationError(name, value, "a whole number, 1 or more")
        for name in ("id_field", "source"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value):
                raise DeclarationError(name, value, f"the name of a {'field' if name == 'id_field' else 'topic'}")
        if not isinstance(self.max_leap, timedelta) or self.max_leap <= timedelta(0):
            raise DeclarationError("max_leap", self.max_leap, "a positive timedelta")
        if self.output_format not in ("json", "avro"):
            raise DeclarationError("output_format", self.output_format, "'json' or 'avro'")
        if self.id_field is not None and isinstance(feature := self.features.get(self.id_field), Feature):
            raise DeclarationError(
                "id_field", self.id_field, f"a field that is no feature (it is a {feature.type.__name__})"
            )


def label_of(version: str) -> str:
    """Return the label of the declared model that a version is of, see `Pipeline.candidates`.

    Examples
    --------
    >>> label_of("v7-a3f9c1"), label_of("v7-a3f9c1@1500"), label_of("v1")
    ('a3f9c1', 'a3f9c1', '')
    """
    return version.partition("@")[0].partition("-")[2]


_ANSWER_FIELDS = (
    "name", "features", "label", "model", "drift", "policy", "id_field", "max_leap", "dedupe_window",
    "max_pending_bytes", "max_record_bytes",
)  # fmt: skip
