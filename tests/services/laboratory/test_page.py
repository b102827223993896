"""The report: one file that loads nothing, in which data stay text, and whose markup is whole."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import orjson
import pytest
from river import linear_model

from riverrun import Label, Pipeline
from schemas.record import Record
from services.laboratory.bins import Bins
from services.laboratory.combination import Combination
from services.laboratory.comparison import compare
from services.laboratory.features import FeatureBins
from services.laboratory.outcome import Job, Mark, Outcome
from services.laboratory.page import render
from services.laboratory.playing import play
from services.laboratory.source import FileSource
from tests.services.laboratory.conftest import named

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" ' & <!-- ]]>"
VOID = {"meta", "input", "br", "hr", "img", "link"}
MARKED = ("model.retrained", "model.promoted", "model.rolled-back", "drift.detected")


class Page(HTMLParser):
    """Elements of a page; holds that each that is opened is closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that is closed at once."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Hold that it is the one that is open."""
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)


def hostile() -> str:
    """Return a report in which every text that comes from outside is hostile."""
    pipeline = Pipeline("p", features={EVIL: float, "city": str}, label=Label("y"), model=linear_model.Perceptron())
    bins = FeatureBins(pipeline, 0)
    for offset in range(50):
        value = orjson.dumps({EVIL: 1.0 * offset, "city": EVIL + "x" * (offset % 3)})
        bins.add(Record("p.raw", 0, offset, offset, None, value))
    runs = [
        Outcome(
            Combination(f"a.py:{EVIL}", policy=policy),
            name=EVIL,
            model_name=EVIL,
            model=EVIL,
            policy_name=EVIL,
            loss=EVIL,
            labelled=500,
            predictions=500,
            records=500,
            metrics={EVIL: 0.5},
            outcomes={"scored": 500},
            curve=Bins(counts=[10] * 50, sums=[1.0 * (i % 3) for i in range(50)], marks=[0] * 50),
            features=bins.curves(),
            marks=[Mark(kind, 7, 1, EVIL) for kind in (*MARKED, EVIL)],
            versions=EVIL,
        )
        for policy in ("pool", EVIL)
    ]
    failed = Outcome(Combination(f"a.py:{EVIL}", policy="reset-on-drift"), error=EVIL)
    return render(compare([*runs, failed]), {"records": EVIL, EVIL: EVIL})


@pytest.fixture(scope="module")
def real(source: FileSource) -> str:
    """Return the report of two policies over the log."""
    jobs = [Job(Combination(named("pipeline"), policy=p), source, features=p == "pool") for p in ("pool", "declared")]
    return render(compare([play(job, lambda share: None) for job in jobs]), {"records": "log.jsonl"})


@pytest.fixture(scope="module", params=["real", "hostile", "nothing"])
def report(request: pytest.FixtureRequest) -> str:
    """Return a report: of a log, of hostile data, or of failures only."""
    if request.param == "hostile":
        return hostile()
    if request.param == "nothing":
        return render(compare([Outcome(Combination("a.py:p"), error="no")]), {})
    return str(request.getfixturevalue("real"))


def test_report_is_whole_and_its_drawings_are_well_formed(report: str) -> None:
    """Every element is closed in its place, ids are unique, and each drawing is XML with words for it."""
    page = Page(report)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for text in re.findall(r"<svg.*?</svg>", report, re.DOTALL):
        drawing = ElementTree.fromstring(text)
        assert drawing.get("aria-hidden") or drawing.find("title") is not None
        numbers = [drawing.get("viewBox", ""), *(path.get("d", "") for path in drawing.iter("path"))]
        assert not re.search("nan|inf|None", " ".join(numbers))


def test_report_loads_nothing(report: str) -> None:
    """No address, no source, no link; and the browser is told so."""
    page = Page(report)
    for tag, attributes in page.elements:
        assert not {"src", "href", "srcset", "action", "xlink:href"} & set(attributes), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    assert not re.search(r"url\(|@import|https?://|//[a-z]+\.", "".join(page.texts["style"]))
    policy = next(a["content"] or "" for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_report_runs_the_one_script_that_its_policy_names(report: str) -> None:
    """A script by its hash, and data that no browser runs."""
    page = Page(report)
    assert [a.get("type") for t, a in page.elements if t == "script"] == ["application/json", None]
    data, script = page.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in report.replace("&#39;", "'")
    assert isinstance(json.loads(data), dict)


def test_hostile_data_stay_text() -> None:
    """Names of features, values, ids, errors: shown, and nothing else."""
    page = Page(hostile())
    assert {tag for tag, _ in page.elements}.isdisjoint({"img", "iframe", "object"})
    assert sum(tag == "script" for tag, _ in page.elements) == 2
    shown = {tag for tag, texts in page.texts.items() if any(EVIL in text for text in texts)}
    assert {"title", "th", "td", "code", "h4", "span"} <= shown
    [title] = [series["title"] for series in json.loads(page.texts["script"][0])["gain-0"]["series"]]
    assert title == EVIL


@pytest.fixture(scope="module")
def many() -> str:
    """Return a report of eighteen combinations."""
    runs = [
        Outcome(
            Combination("a.py:p", policy=f"pool:versions={number}"),
            name="p",
            loss="zero-one loss",
            labelled=20_000,
            predictions=20_000,
            curve=Bins(shift=5, counts=[32] * 625, sums=[1.0 * number] * 625, marks=[0] * 625),
            marks=[Mark("model.promoted", 5_000, 1, "v2")],
            load=1.5,
        )
        for number in range(2, 20)
    ]
    return render(compare(runs), {})


def test_report_of_many_tells_each_from_the_others(many: str) -> None:
    """Colours come again after eight: then the dashes differ, of the line, its key, and its lane with its number."""
    page = Page(many)
    looks = []
    for number in range(18):
        drawn = [a for _, a in page.elements if a.get("data-run") == str(number)]
        [line] = {attributes["class"] for attributes in drawn if "line" in (attributes["class"] or "").split()}
        looks.append(line)
        key = re.search(f'<svg class="key" data-key="{number}"[^>]*><path class="([^"]*)"', many)
        lane = re.search(f'<g class="lane" data-run="{number}">.*?<path class="([^"]*)".*?<text[^>]*>([^<]*)<', many)
        assert key is not None
        assert lane is not None
        assert (key[1], lane[1], lane[2]) == (line, line, str(number + 1))
    assert len(set(looks)) == 18


def test_report_shows_the_table_first_and_its_best_row(many: str) -> None:
    """Remarks come after it; captions stay where the table is scrolled."""
    assert many.index("<table") < many.index('class="remarks"')
    assert "<caption" not in many
    [best] = re.findall(r'<tr class="[^"]*best[^"]*">.*?</tr>', many, re.DOTALL)
    assert "pool:versions=2" in best
    assert "lowest loss" in best


def test_last_label_of_an_axis_is_not_cut(many: str) -> None:
    """It ends at the edge where it would go beyond it."""
    labels = re.findall(r'<text x="([0-9.]+)"[^>]*text-anchor="(middle|end)">([0-9,]+)</text>', many)
    assert ("948.0", "end", "20,000") in labels
    for x, anchor, said in labels:
        assert float(x) + (3.7 * len(said) if anchor == "middle" else 0) <= 960


def test_report_tells_what_was_found(real: str) -> None:
    """Digests, differences, marks below the lines, and the curve as figures."""
    page = Page(real)
    data = json.loads(page.texts["script"][0])
    assert [series["title"] for series in data["loss-0"]["series"]] == ["pool", "declared policy"]
    assert len(data["loss-0"]["offsets"]) == len(data["loss-0"]["series"][0]["values"]) + 1
    assert data["loss-0"]["times"][0].startswith("2023-11-14")
    marks = [attributes["class"] for tag, attributes in page.elements if tag == "path" and "transform" in attributes]
    assert "mark drift" in marks
    assert any("l2=0. l1=0. intercept_init=0." in text for text in page.texts["code"])
    for text in ("accuracy", "declared policy", "The same in figures", "How the intervals are made"):
        assert text in real
