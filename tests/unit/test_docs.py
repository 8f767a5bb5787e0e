"""What the guides say: links that lead somewhere, tables and examples that the code agrees with."""

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from services.chassis.commands import configuration_page
from services.chassis.settings import described
from services.contracts.codes import REFERRAL_STATE_LABELS
from services.contracts.envelope import CloudEvent
from services.contracts.referral import FOR_PARTNERS
from services.contracts.topology import SERVICES
from services.intake.case_forms import AccessesView, AgreementsView, Joined, Matches, SearchForm, StoryView
from services.intake.forms import VisitAnswer, VisitForm
from services.network import load_files
from services.referral.domain.life import DUTIES, drawn
from services.referral.forms import AnswerForm, AnswerTaken, PostedAnswer, ReferralForm, ReferralTaken, WithdrawForm

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")})
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
SAMPLES = {
    "$(date -Iseconds)": "2026-11-20T09:30:00+01:00",
    "$(python3 -c 'import uuid; print(uuid.uuid4())')": "0193508e-7a5c-7cc1-9a59-3f6d0c7a2b11",
    "$case": "d5479149-c099-409d-9aa9-c064138716e3",
}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def fenced(page: Path, language: str) -> list[str]:
    """The code blocks of one language on a page."""
    return [text for kind, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def examples(page: Path) -> Iterator[dict[str, Any]]:
    """Every JSON document of a page, fenced or sent by a command."""
    for text in fenced(page, "json"):
        yield json.loads(text)
    for script in fenced(page, "sh"):
        for sent in re.findall(r"<<END\n(.*?)\nEND", script, re.DOTALL) + re.findall(r"-d '(\{.*?\})'", script):
            for placeholder, value in SAMPLES.items():
                sent = sent.replace(placeholder, value)  # noqa: PLW2901 - the same text, filled in
            yield json.loads(sent)


def form_of(document: dict[str, Any]) -> type[BaseModel] | None:
    """What a document claims to be; None for a problem and for what `simulate` takes, which is part of a visit."""
    if "needs" in document:
        return VisitForm if "visit_id" in document else None
    for field, form in (
        ("matches", Matches),
        ("merged", Joined),
        ("agreements", AgreementsView),
        ("accesses", AccessesView),
        ("reference", VisitAnswer),
        ("specversion", CloudEvent),
        ("stories", StoryView),
        ("step", AnswerTaken),
        ("answer_id", PostedAnswer if "referral_id" in document else AnswerForm),
        ("agreed", ReferralForm),
        ("state", ReferralTaken),
        ("reason", WithdrawForm),
        ("person", SearchForm),
    ):
        if field in document:
            return form
    assert document["type"].startswith("/problems/"), f"an example of nothing known: {document}"
    return None


def anchors(page: Path) -> set[str]:
    """The fragments that a forge makes of a page's headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        kept = (each for each in heading.lower() if each in " -_" or unicodedata.category(each)[0] in "LN")
        found.add("".join(kept).replace(" ", "-"))
    return found


def test_the_configuration_page_is_current() -> None:
    """Else: `relais settings --markdown > docs/configuration.md`."""
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == configuration_page()


@every_page
def test_every_relative_link_resolves(page: Path) -> None:
    """To a file of the repository, and to a heading in it where the link names one."""
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not fragment or fragment in anchors(target), link


@every_page
def test_every_example_is_what_the_services_take_and_give(page: Path) -> None:
    """Visits, answers and events are parsed by the very models of the API, which refuse unknown fields."""
    for document in examples(page):
        form = form_of(document)
        if form is CloudEvent:
            kind = next(each for each in FOR_PARTNERS if document["type"] == each.TYPE)
            kind.model_validate(CloudEvent.model_validate(document).data)
            assert set(document["data"]) == set(kind.model_fields)
        elif form is not None:
            form.model_validate(document)
            assert set(document) <= set(form.model_fields)


@every_page
def test_every_variable_named_exists(page: Path) -> None:
    """A misspelt variable would be ignored by the services, so a guide must not hold one."""
    known = {name for name, _, _ in described()} | {"RELAIS_TOKEN"}
    for name in re.findall(r"\bRELAIS_[A-Z_]*[A-Z](?!\w)", page.read_text(encoding="utf-8")):
        assert name in known, name
    for prefix in re.findall(r"\b(RELAIS_[A-Z_]*)…", page.read_text(encoding="utf-8")):
        assert any(name.startswith(prefix) for name in known), prefix


def test_every_metric_explained_exists() -> None:
    """Each name of the table stands in the code, counters without their `_total`; the alerts know no other."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py"))
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    metrics = set(re.findall(r"`(relais_\w+)", page)) - {f"relais_{service}" for service in SERVICES}
    assert len(metrics) > 10
    for name in metrics:
        assert f'"{name.removesuffix("_total")}"' in code, name
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    assert {name.removesuffix("_bucket") for name in re.findall(r"relais_[a-z_]+", alerts)} <= metrics


def test_every_alert_names_a_place_to_read_on() -> None:
    """A chapter of the operations guide that is there."""
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    names, runbooks = re.findall(r"- alert: (\w+)", alerts), re.findall(r"runbook: (\S+)", alerts)
    assert len(runbooks) == len(names)
    for runbook in runbooks:
        path, _, fragment = runbook.partition("#")
        assert fragment in anchors(ROOT / path), runbook


def test_the_network_file_of_the_guide_is_right(tmp_path: Path) -> None:
    """Together with the national table it is what the guide says `relais network check` tells."""
    page = ROOT / "docs" / "network-files.md"
    (text,) = fenced(page, "toml")
    file = tmp_path / "laonnois.toml"
    file.write_text(text, encoding="utf-8")
    found = load_files([ROOT / "deploy" / "networks" / "national.toml", file])
    told = f"{len(found.sites)} sites, {len(found.partners)} partners, {len(found.lines)} lines"
    assert told in page.read_text(encoding="utf-8")


def test_a_referrals_life_is_drawn_from_the_code() -> None:
    """The diagram is the code's, to the letter: `services.referral.domain.life.drawn`; its table has every duty."""
    page = ROOT / "docs" / "vie-d-une-orientation.md"
    assert fenced(page, "mermaid") == [drawn() + "\n"]
    rows = re.findall(
        r"^\| `([a-z-]+)` \| ([^|]+) \| [^|]+ \| ([^|]+) \|", page.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert rows == [(state, REFERRAL_STATE_LABELS[state], each.label) for state, each in DUTIES.items()]
