"""The names a pipeline is declared with: ``from riverrun import Drift, Feature, Label, Pipeline``.

`Backtest` folds rows through one in Python, `export_model` is for models that were trained elsewhere and are to serve
in one. ``python -m riverrun`` is the command line.
"""

from services.backtest import Backtest
from services.model_files import export_model
from streams.drift import Drift
from streams.feature import Feature
from streams.label import Label
from streams.per_key import PerKey
from streams.pipeline import Pipeline
from streams.policy import BackgroundChallenger, ChampionVersions, ObserveOnly, Pool, ResetOnDrift
from streams.prequential import MajorityClass
from streams.race import Race
from streams.watch import Watch

__all__ = [
    "BackgroundChallenger",
    "Backtest",
    "ChampionVersions",
    "Drift",
    "Feature",
    "Label",
    "MajorityClass",
    "ObserveOnly",
    "PerKey",
    "Pipeline",
    "Pool",
    "Race",
    "ResetOnDrift",
    "Watch",
    "export_model",
]

if __name__ == "__main__":
    from services.cli import main

    main()
