"""The sample visits: sent through the public HTTP API, then a table of what became of them."""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from services.chassis.settings import Settings
from services.chassis.tokens import Tokens
from services.contracts.codes import REFERRAL_STATE_LABELS, Category, ReferralState
from services.intake.commands import by_site, post_visits
from services.intake.samples import sample_visits
from services.network import load

_SETTLED_SECONDS = 60.0
_LOOKS = 4
_TOWARDS = {
    Category.STATE: "vers l’État",
    Category.DEPARTMENT: "vers le Département",
    Category.OPERATOR: "vers un opérateur",
    Category.LOCAL: "vers un partenaire local",
    Category.SITE: "vers un site France services",
}


@dataclass(frozen=True)
class Site:
    """What one site's own tokens may read of it."""

    id: str
    activity: dict[str, Any]
    referrals: list[dict[str, Any]]


def demonstrate(settings: Settings) -> None:
    """Send the samples once, on the day of the first start, and print the table at every start."""
    tokens, console = Tokens(settings), Console()
    remembered = settings.state / "samples.json"
    day, sent = _remembered(remembered)
    known = {site.id for site in load(settings.network).sites}
    bodies = {site: visits for site, visits in sorted(by_site(sample_visits(day)).items()) if site in known}
    if not bodies:
        console.print("None of the demo sites is in this network: no sample visits were sent.")
        return
    if not sent:
        for site, visits in bodies.items():
            results = post_visits(visits, tokens.sign("site", site), settings.url("intake"))
            refused = [result for result in results if result["status"] not in {200, 201}]
            if refused:
                console.print(f"{site}: {len(refused)} visits refused, such as: {refused[0].get('detail')}")
        _wait_until_counted(settings, tokens, {site: len(visits) for site, visits in bodies.items()})
        settings.state.mkdir(parents=True, exist_ok=True)
        remembered.write_text(json.dumps({"day": day.isoformat(), "sent": True}))
    console.print(_table(_sites(settings, tokens, bodies), day))


def _remembered(path: Path) -> tuple[date, bool]:
    """The day the samples belong to, and whether all were sent: the same day gives the same visits again."""
    try:
        return date.fromisoformat(json.loads(path.read_text())["day"]), True
    except (OSError, ValueError, KeyError):
        return datetime.now(ZoneInfo("Europe/Paris")).date(), False


def _sites(settings: Settings, tokens: Tokens, sites: Iterable[str]) -> list[Site]:
    with httpx.Client(timeout=30) as client:
        return [
            Site(site, _activity(client, settings, tokens, site), _referrals(client, settings, tokens, site))
            for site in sites
        ]


def _activity(client: httpx.Client, settings: Settings, tokens: Tokens, site: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {tokens.sign('steering', site)}"}
    answer = client.get(f"{settings.url('reporting')}/v1/reports/activity", headers=headers)
    totals: dict[str, Any] = answer.raise_for_status().json()["totals"]
    return totals


def _referrals(client: httpx.Client, settings: Settings, tokens: Tokens, site: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {tokens.sign('site', site)}"}
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        query = {"limit": "1000"} | ({"after": after} if after else {})
        page = client.get(f"{settings.url('referral')}/v1/referrals", headers=headers, params=query).raise_for_status()
        if not page.json()["referrals"]:
            return found
        found += page.json()["referrals"]
        after = page.json()["next"]


def _wait_until_counted(settings: Settings, tokens: Tokens, expected: dict[str, int]) -> None:
    """Until every visit is counted and some looks in a row see the same: the way through four services takes time."""
    deadline, before, looks = time.monotonic() + _SETTLED_SECONDS, -1, 0
    with Progress(transient=True) as progress:
        task = progress.add_task("Visits followed to their end", total=sum(expected.values()))
        while time.monotonic() < deadline:
            sites = _sites(settings, tokens, expected)
            counted = sum(site.activity["visits"] for site in sites)
            moved = counted + sum(
                site.activity["proposals"]["total"] + site.activity["referrals"]["sent"] + len(site.referrals)
                for site in sites
            )
            looks = looks + 1 if moved == before else 1
            progress.update(task, completed=counted)
            if counted >= sum(expected.values()) and looks >= _LOOKS:
                return
            before = moved
            time.sleep(0.3)


def _table(sites: list[Site], day: date) -> Table:
    # A later start counts what was recorded since, too.
    table = Table(title=f"Activité des sites d’exemple (visites d’exemple arrêtées au {day:%d/%m/%Y})")
    table.add_column("")
    for site in sites:
        table.add_column(site.id, justify="right")
    table.add_column("ensemble", justify="right", style="bold")

    def row(label: str, counts: list[int], *, section: bool = False) -> None:
        table.add_row(label, *map(str, counts), str(sum(counts)), end_section=section)

    def total(*path: str) -> list[int]:
        values: list[Any] = [site.activity for site in sites]
        for key in path:
            values = [value.get(key, 0) for value in values]
        return [int(value) for value in values]

    row("Visites", total("visits"))
    row("  dont emploi", total("emploi"))
    row("  dont SPIE", total("spie"))
    row("Besoins exprimés", total("needs"))
    row("  résolus au guichet", total("by_outcome", "resolved"))
    row("  à orienter", total("by_outcome", "to-refer"), section=True)
    row("Propositions (hors historique)", total("proposals", "total"))
    row("  à traiter au guichet", total("proposals", "desk_first"), section=True)
    states = [Counter(referral["state"] for referral in site.referrals) for site in sites]
    categories = [
        Counter(referral["category"] for referral in site.referrals if referral["state"] != "awaiting-agreement")
        for site in sites
    ]
    for state in ReferralState:
        if any(counter[state] for counter in states):
            row(f"Orientations : {REFERRAL_STATE_LABELS[state].lower()}", [counter[state] for counter in states])
    for category in Category:
        if any(counter[category] for counter in categories):
            row(f"  {_TOWARDS[category]}", [counter[category] for counter in categories])
    return table
