"""A site's follow-up in a real browser: what became of the people it sent, and whom partners sent to it."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from services.contracts.paris import paris_day
from tests.browser.conftest import DESKTOP, Visited
from tests.browser.keyboard import enter, follow, press, sound_on_any_screen
from tests.support.house import House, eventually, visit

PARTNER, NEXT, SITE = "mission-locale-santerre", "france-travail", "fs-moreuil"
WEDNESDAY = 3


@pytest.fixture
def follow_up(visit_page: Callable[[dict[str, int]], Visited], house: House) -> Visited:
    """The page of an agent of Moreuil who has just come in by an invitation."""
    seen = visit_page(DESKTOP)
    invitation = house.tokens.invite("agent", SITE, "referral")
    enter(seen, f"{house.url('referral')}/login?invitation={invitation}")
    expect(seen.page.locator("h1")).to_have_text("Suivi des orientations")
    return seen


def sent(house: House, *agreed: str) -> dict[str, Any]:
    """A referral of Moreuil's, to the Mission locale and whom else the person agreed to."""
    body = visit(agreement={"recipients": [PARTNER, *agreed], "sensitive": True, "form": "oral"})
    assert house.post_visit(body).status_code == 201
    referral: dict[str, Any] = house.sent(body)[0]
    return referral


def show(seen: Visited, house: House, referral_id: str) -> None:
    """Show this one in the list, which other tests fill as well."""
    seen.page.goto(f"{house.url('referral')}/?number={referral_id}")


def test_the_guides_command_leads_here(house: House) -> None:
    """An agent has pages at two services; the guide says which word leads to these."""
    invited = house.relais("invite", "agent", SITE, "--service", "referral")
    assert invited.stdout.startswith(f"{house.url('referral')}/login?invitation="), invited.stderr


def test_a_refusal_and_who_took_over_are_one_story(follow_up: Visited, house: House) -> None:
    """The list has the newest, with who declined and why; its page begins with the first, with the note."""
    referral, page = sent(house, "operator"), follow_up.page
    said = {"status": "declined", "reason": "no-capacity", "note": "Complet jusqu’en janvier."}
    assert house.answer(PARTNER, referral["referral_id"], **said).status_code == 201
    found = house.referrals("site", SITE, limit="1000")
    newest = next(each["referral_id"] for each in found if each["previous"] == referral["referral_id"])
    show(follow_up, house, newest)
    card = page.locator("section[aria-labelledby=waiting] article")
    expect(card).to_contain_text("Mission locale du Santerre a décliné (plus de place), réadressée à France Travail le")
    expect(card).to_contain_text("Personne à appeler")
    expect(card).to_contain_text(referral["visit_id"])
    sound_on_any_screen(follow_up)
    follow(follow_up, "article >> text=Voir le suivi")
    expect(page.locator(".trail li")).to_have_count(3)
    expect(page.locator(".trail")).to_contain_text("Complet jusqu’en janvier.")
    sound_on_any_screen(follow_up)
    page.goto(f"{house.url('referral')}/orientations/{referral['referral_id']}")
    follow(follow_up, "text=Un autre partenaire a pris le relais")
    assert page.url.endswith(newest)


def test_whom_nobody_took_on_is_to_be_seen_again(follow_up: Visited, house: House) -> None:
    """With the reason, and what the site owes now."""
    referral, page = sent(house), follow_up.page
    house.answer(PARTNER, referral["referral_id"], status="declined", reason="out-of-territory")
    show(follow_up, house, referral["referral_id"])
    card = page.locator("section[aria-labelledby=again] article")
    expect(card).to_contain_text("Déclinée\u00a0: hors du territoire")
    expect(card).to_contain_text("Revoir la personne et chercher une autre solution")
    sound_on_any_screen(follow_up)


def test_an_appointment_is_where_the_agent_looks(follow_up: Visited, house: House) -> None:
    """When, where, with whom, and what the partner noted."""
    referral, page = sent(house), follow_up.page
    year = paris_day(datetime.now(UTC)).year + 1
    day = next(day for day in (date(year, 7, number) for number in range(14, 21)) if day.isoweekday() == WEDNESDAY)
    appointment = {"at": f"{day}T08:00:00Z", "place": "Mission locale, Roye", "contact": "Nadia Exemple"}
    said = {"status": "accepted", "appointment": appointment, "note": "Venir avec un CV."}
    assert house.answer(PARTNER, referral["referral_id"], **said).status_code == 201
    show(follow_up, house, referral["referral_id"])
    card = page.locator("section[aria-labelledby=at-work] article")
    at = f"Mercredi\u00a0{day.day}\u00a0juillet\u00a0{year} à\u00a010\u00a0h"
    told = f"{at}, Mission locale, Roye, avec Nadia Exemple"
    expect(card.locator("dd", has_text=told)).to_have_count(1)
    expect(card).to_contain_text("Venir avec un CV.")
    sound_on_any_screen(follow_up)


def test_who_is_to_be_called_stands_beside_what_waits(follow_up: Visited, house: House) -> None:
    """The partner's named contact of the network file, by a link that dials."""
    referral = sent(house)
    show(follow_up, house, referral["referral_id"])
    phone = follow_up.page.locator("section[aria-labelledby=waiting] article a[href^='tel:']")
    expect(phone).to_have_attribute("href", "tel:0199008021")
    expect(follow_up.page.locator("article")).to_contain_text("Nadia Exemple, Directrice adjointe")


def test_taking_back_asks_why_and_is_told_to_the_partner(follow_up: Visited, house: House) -> None:
    """Without a mouse: a reason is required; afterwards only the mistake can still be said."""
    referral, page = sent(house), follow_up.page
    show(follow_up, house, referral["referral_id"])
    follow(follow_up, "article >> text=Voir le suivi ou retirer")
    press(follow_up, "summary:has-text('Retirer')")
    follow(follow_up, "text=Confirmer")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.locator("#withdrawn-reason-error")).to_have_text("Choisissez un motif.")
    sound_on_any_screen(follow_up)
    press(follow_up, "#withdrawn-person", "Space")
    follow(follow_up, "text=Confirmer")
    expect(page.get_by_role("status")).to_contain_text("Retirée")
    expect(page.locator(".trail")).to_contain_text("Vous\u00a0: orientation retirée\u00a0: à la demande de la personne")
    press(follow_up, "summary:has-text('Elle n’aurait pas dû exister')")
    expect(page.locator("input[type=radio]")).to_have_count(1)
    sound_on_any_screen(follow_up)
    told = [
        event["type"] for event in house.events(PARTNER) if event["data"].get("referral_id") == referral["referral_id"]
    ]
    assert told[-1] == "fr.relais.ReferralWithdrawn.v1"


def test_whom_a_partner_sends_is_expected_and_answered_here(follow_up: Visited, house: House) -> None:
    """With the note, and by the forms that a partner has; the partner reads the answer."""
    page, identifier = follow_up.page, str(uuid4())
    form = {"referral_id": identifier, "site": SITE, "need": "declarer-revenus", "note": "Ne peut le faire seul."}
    url, headers = f"{house.url('referral')}/v1/referrals", house.bearer("partner", PARTNER)
    assert house.client.post(url, json=form | {"agreed": True}, headers=headers).status_code == 201
    show(follow_up, house, identifier)
    card = page.locator("section[aria-labelledby=expected] article")
    expect(card).to_contain_text("Ne peut le faire seul.")
    expect(card).to_contain_text("Mission locale du Santerre")
    sound_on_any_screen(follow_up)
    follow(follow_up, "article >> button:has-text('Accepter')")
    expect(page.get_by_role("status")).to_contain_text("Acceptée")

    def accepted() -> bool:
        mine = house.referrals("partner", PARTNER, limit="1000")
        return any(each["referral_id"] == identifier and each["state"] == "accepted" for each in mine)

    assert eventually(accepted)
