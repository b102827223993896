"""The pipelines riverrun runs in the bench: the model, metric and detector of the reference."""

from __future__ import annotations

from river import metrics, utils

from benchmarks.contestants import Job
from benchmarks.work import WINDOW, make_model
from riverrun import Label, ObserveOnly, Pipeline

FEATURES = ("salary", "commission", "age", "elevel", "car", "zipcode", "hvalue", "hyears", "loan")


def _pipeline(model: str, *further: object) -> Pipeline:
    return Pipeline(
        Job("", model).pipeline,
        features=dict.fromkeys(FEATURES, float),
        label=Label("label"),
        model=make_model(model),
        id_field="id",
        policy=ObserveOnly(),
        metrics=[utils.Rolling(metrics.Accuracy, WINDOW), *further],
    )


lr = _pipeline("lr")
hat = _pipeline("hat")
arf = _pipeline("arf")
lr_metrics = _pipeline("lr_metrics", utils.Rolling(metrics.ROCAUC, WINDOW), utils.Rolling(metrics.LogLoss, WINDOW))
