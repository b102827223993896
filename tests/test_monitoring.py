"""Alert rules and dashboard: what they ask Prometheus is there to be asked, and the alerts fire when they should."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest

from schemas.events import LIFECYCLE_EVENTS
from streams.accounting import OUTCOMES, REMARKS
from streams.worker.timing import LEGS
from tests.test_docker_compose import option

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[1]
DEPLOY, METRICS = ROOT / "deploy", ROOT / "docs" / "metrics.md"

#: Of Prometheus itself and of its client library.
NOT_OURS: dict[str, set[str]] = {
    "up": set(),
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
    "process_start_time_seconds": set(),
}
#: Given by Prometheus, and by prometheus.yml, to whatever is scraped.
OF_THE_SCRAPE = {"job", "instance", "app"}
VALUES = {
    ("riverrun_outcomes_total", "outcome"): set(OUTCOMES),
    ("riverrun_remarks_total", "remark"): set(REMARKS),
    ("riverrun_snapshots_total", "outcome"): {"taken", "failed", "restored", "refused"},
    ("riverrun_record_seconds_bucket", "leg"): set(LEGS),
    ("riverrun_lifecycle_events_total", "type"): {event.type.removeprefix("riverrun.") for event in LIFECYCLE_EVENTS},
}


def labels_by_metric() -> dict[str, set[str]]:
    """Return what docs/metrics.md lists, which tests/streams/worker/test_telemetry.py holds against the code."""
    rows = [line.strip("|").split("|") for line in METRICS.read_text().splitlines() if line.startswith("| `riverrun_")]
    known = {
        name: set(re.findall(r"`(\w+)`", labels)) for names, labels, _ in rows for name in re.findall(r"`(\w+)`", names)
    }
    return NOT_OURS | known | {"riverrun_record_seconds_bucket": known["riverrun_record_seconds"] | {"le"}}


def alerts() -> list[dict[str, Any]]:
    """Return the rules of all groups."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """Return Grafana's dashboard."""
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "riverrun.json").read_text())
    return found


def questions() -> Iterator[tuple[str, str]]:
    """Yield where it stands and what is asked, in Prometheus' language."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    board = dashboard()
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for line in METRICS.read_text().split("## Questions")[1].splitlines():
        for asked in re.findall(r"`([^`]*riverrun_[^`]*|rate\([^`]*)`", line):
            yield "docs/metrics.md", asked.replace("\\|", "|")


def selectors(expression: Any) -> Iterator[Any]:
    """Yield what an expression selects, however deep."""
    kind = type(expression).__name__
    if kind == "VectorSelector":
        yield expression
    elif kind == "MatrixSelector":
        yield expression.vector_selector
    elif kind == "BinaryExpr":
        yield from selectors(expression.lhs)
        yield from selectors(expression.rhs)
    elif kind == "Call":
        for argument in expression.args:
            yield from selectors(argument)
    elif kind in ("AggregateExpr", "ParenExpr", "UnaryExpr", "SubqueryExpr"):
        yield from selectors(expression.expr)
    else:
        assert kind in ("NumberLiteral", "StringLiteral"), kind


def parsed(asked: str) -> Any:
    """Parse a question, with a value for each of Grafana's variables."""
    return promql.parse(asked.replace("$__rate_interval", "1m").replace("$job", "flights").replace("$partition", ".*"))


def alternatives(pattern: str) -> list[str]:
    """Return the words of ``a|b``, or of ``begin_(a|b)``."""
    begin, _, rest = pattern.rpartition("(")
    return [begin + word for word in rest.removesuffix(")").split("|")]


@pytest.mark.parametrize(("where", "asked"), list(questions()))
def test_what_is_asked_is_there(where: str, asked: str) -> None:
    """Each metric, each label by which it is chosen, and at least one of the values."""
    known = labels_by_metric()
    chosen = list(selectors(parsed(asked)))
    assert chosen
    for selector in chosen:
        assert selector.name in known, f"{where}: no metric {selector.name}"
        for matcher in selector.matchers.matchers:
            assert matcher.name in known[selector.name] | OF_THE_SCRAPE, (
                f"{where}: {selector.name} has no {matcher.name}"
            )
            values = VALUES.get((selector.name, matcher.name))
            if values is not None:
                for part in alternatives(matcher.value):
                    assert any(re.fullmatch(part, value) for value in values), f"{where}: no {matcher.name} {part}"
    named = set(re.findall(r"\b(?:by|on) \(([^)]*)\)", asked))
    grouped = {label.strip() for group in named for label in group.split(",")}
    assert grouped <= set().union(*known.values()) | OF_THE_SCRAPE | {"window"}, where


def test_what_an_alert_says_of_its_labels_it_has() -> None:
    """What is grouped away is an empty place in the text."""
    for rule in alerts():
        text = " ".join(rule["annotations"].values())
        used, grouped = set(re.findall(r"\$labels\.(\w+)", text)), re.match(r"\(?\w+ by \(([^)]*)\)", rule["expr"])
        if grouped:
            assert used <= set(re.split(r",\s*", grouped[1])), rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_commands_that_alerts_advise_are_riverruns() -> None:
    """With their arguments, as the command line itself reads them; and settings by their names."""
    from streams.worker.settings import Settings

    text = " ".join(rule["annotations"]["action"] for rule in alerts())
    advised = re.findall(r"`riverrun ([^`]+)`", text)
    assert len(advised) > 10
    assert len(advised) == len(re.findall(r"\briverrun ", text))
    for command in advised:
        option(command.split())
    for setting in re.findall(r"RIVERRUN_(\w+)", text):
        assert setting.lower() in Settings.model_fields, setting


def test_panels_have_places_of_their_own() -> None:
    """None lies on another, none reaches beyond the 24 columns, ids are unique."""
    panels, taken = dashboard()["panels"], set()
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_compose_mounts_what_is_there() -> None:
    """Rules, provisioning, dashboards; the broker is the version that is tested."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in ("prometheus", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        for volume in services[name]["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith(".") or (ROOT / source).is_dir(), source
    scrape = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert [f"127.0.0.1::{scrape['dns_sd_configs'][0]['port']}"] == services["worker"]["ports"]
    tested = re.search(r"<version>(\d+\.\d+\.\d+)</version>", (DEPLOY / "kafka" / "pom.xml").read_text())
    assert tested is not None
    assert services["kafka"]["image"] == f"apache/kafka:{tested[1]}"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of Prometheus, on the PATH")
def test_alerts_fire_when_they_should() -> None:
    """By Prometheus' own tool, on series made up for each alert."""
    done = subprocess.run(
        ["promtool", "test", "rules", str(ROOT / "tests" / "alerts_test.yml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
