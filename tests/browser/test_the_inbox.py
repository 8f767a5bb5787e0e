"""A partner's inbox in a real browser: every answer without a mouse, on any screen, twice, too late, on paper."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, expect

from services.chassis.tokens import Role
from services.contracts.paris import paris_day
from tests.browser.conftest import DESKTOP, Visited
from tests.browser.keyboard import enter, follow, press, sound_on_any_screen, tab_to
from tests.support.house import House, visit

PARTNER, SITE = "mission-locale-santerre", "fs-moreuil"
HERE = {"Sec-Fetch-Site": "same-origin"}
TUESDAY = 2


def sent(house: House) -> dict[str, Any]:
    """A referral that has just left for the partner."""
    body = visit()
    assert house.post_visit(body).status_code == 201
    (referral,) = house.sent(body)
    assert referral["partner"] == PARTNER
    return referral


def now(house: House, referral: dict[str, Any]) -> dict[str, Any]:
    """The same, as its site sees it now."""
    found = house.referrals("site", SITE, limit="1000")
    return next(each for each in found if each["referral_id"] == referral["referral_id"])


@contextmanager
def logged_in(house: House, role: Role, org: str) -> Iterator[httpx.Client]:
    """A client that holds a session, as a browser does."""
    with httpx.Client(base_url=house.url("referral"), trust_env=False, headers=HERE) as client:
        invitation = house.tokens.invite(role, org, "referral")
        assert client.post("/login", data={"invitation": invitation}).status_code == 303
        yield client


@pytest.fixture
def inbox(visit_page: Callable[[dict[str, int]], Visited], house: House) -> Visited:
    """The page of somebody of the Mission locale who has just come in by an invitation."""
    seen = visit_page(DESKTOP)
    enter(seen, f"{house.url('referral')}/login?invitation={house.tokens.invite('partner', PARTNER, 'referral')}")
    expect(seen.page.locator("h1")).to_have_text("Orientations reçues")
    return seen


def only(seen: Visited, house: House, referral: dict[str, Any]) -> None:
    """Show this one in the list, which other tests fill as well."""
    seen.page.goto(f"{house.url('referral')}/?number={referral['referral_id'][-8:]}")
    expect(seen.page.locator("article, li:has(a)")).to_have_count(1)


def fill(seen: Visited, field: str, text: str) -> None:
    """Go there by Tab and type."""
    tab_to(seen, field)
    seen.page.keyboard.type(text)


def test_the_commands_link_leads_into_the_inbox(visit_page: Callable[[dict[str, int]], Visited], house: House) -> None:
    """`relais invite partner` needs no other word."""
    seen = visit_page(DESKTOP)
    invited = house.relais("invite", "partner", PARTNER)
    assert invited.returncode == 0, invited.stderr
    enter(seen, invited.stdout.strip())
    expect(seen.page.locator("h1")).to_have_text("Orientations reçues")
    expect(seen.page.locator("main")).to_contain_text("Mission locale du Santerre")
    sound_on_any_screen(seen)


def test_from_the_receipt_to_the_outcome_without_a_mouse(inbox: Visited, house: House) -> None:
    """One click each for receipt and acceptance, then news, a pause, an outcome; each page passes axe."""
    referral, page = sent(house), inbox.page
    only(inbox, house, referral)
    sound_on_any_screen(inbox)
    follow(inbox, "article >> button:has-text('Accuser réception')")
    expect(page.get_by_role("status")).to_contain_text("C’est enregistré")
    expect(page.get_by_role("status")).to_be_focused()
    expect(page.locator("article")).to_contain_text("Reçue")
    follow(inbox, "article >> button:has-text('Accepter')")
    expect(page.locator("article")).to_contain_text("Acceptée")
    sound_on_any_screen(inbox)
    follow(inbox, "article >> text=Donner des nouvelles")
    press(inbox, "summary:has-text('Commencer')")
    fill(inbox, "#in-progress-note", "Premier entretien fait.")
    follow(inbox, "details[open] >> text=Enregistrer")
    expect(page.get_by_role("status")).to_contain_text("En cours")
    sound_on_any_screen(inbox)
    press(inbox, "summary:has-text('Mettre en pause')")
    follow(inbox, "details[open] button")
    expect(page.get_by_role("status")).to_contain_text("En pause")
    press(inbox, "summary:has-text('Terminer')")
    follow(inbox, "details[open] button")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.locator("#completed-outcome-error")).to_have_text("Choisissez un résultat.")
    sound_on_any_screen(inbox)
    fill(inbox, "#completed-outcome", "Personne aid")
    press(inbox, "#completed-told-unknown", "ArrowDown")
    follow(inbox, "details[open] button")
    expect(page.get_by_role("status")).to_contain_text("Terminée")
    expect(page.locator(".trail")).to_contain_text("suivi terminé\u00a0: personne aidée")
    sound_on_any_screen(inbox)
    answers = now(house, referral)["answers"]
    assert [each["status"] for each in answers] == ["received", "accepted", "in-progress", "on-hold", "completed"]
    assert (answers[-1]["reason"], answers[-1]["story_sufficient"]) == ("helped", True)
    assert answers[2]["note"] == "Premier entretien fait."


def test_an_appointment_is_told_with_the_acceptance(inbox: Visited, house: House) -> None:
    """Day, hour, place, with whom; an hour without its day is asked for, and what was typed stays."""
    referral, page = sent(house), inbox.page
    page.goto(f"{house.url('referral')}/orientations/{referral['referral_id']}")
    press(inbox, "summary:has-text('Accepter')")
    page.fill("#accepted-time", "14:30")
    fill(inbox, "#accepted-place", "Mission locale, Roye")
    fill(inbox, "#accepted-contact", "Nadia Exemple")
    follow(inbox, "details[open] button")
    expect(page.locator("#accepted-day-error")).to_have_text("Indiquez le jour du rendez-vous.")
    expect(page.locator("#accepted-place")).to_have_value("Mission locale, Roye")
    expect(page.locator("#accepted-time")).to_have_value("14:30")
    sound_on_any_screen(inbox)
    year = paris_day(datetime.now(UTC)).year + 1
    day = next(day for day in (date(year, 1, number) for number in range(2, 9)) if day.isoweekday() == TUESDAY)
    page.fill("#accepted-day", day.isoformat())
    follow(inbox, "details[open] button")
    at = f"Mardi\u00a0{day.day}\u00a0janvier\u00a0{year} à\u00a014\u00a0h\u00a030"
    told = f"{at}, Mission locale, Roye, avec Nadia Exemple"
    expect(page.locator("dd", has_text=told)).to_have_count(1)
    sound_on_any_screen(inbox)
    appointment = now(house, referral)["answers"][0]["appointment"]
    assert appointment["at"] in {f"{day}T14:30:00+01:00", f"{day}T13:30:00Z"}


def test_a_refusal_says_why(inbox: Visited, house: House) -> None:
    """Without a reason nothing is sent, and neither with « autre motif » alone; what was typed stays."""
    referral, page = sent(house), inbox.page
    only(inbox, house, referral)
    follow(inbox, "article >> text=Rendez-vous, refus, historique")
    press(inbox, "summary:has-text('Décliner')")
    fill(inbox, "#declined-note", "Complet jusqu’en janvier.")
    follow(inbox, "details[open] button")
    expect(page.locator("#declined-reason-error")).to_have_text("Choisissez un motif.")
    expect(page.locator("#declined-note")).to_have_value("Complet jusqu’en janvier.")
    assert page.title().startswith("À corriger")
    sound_on_any_screen(inbox)
    page.fill("#declined-note", "")
    fill(inbox, "#declined-reason", "Autre")
    follow(inbox, "details[open] button")
    expect(page.locator("#declined-note-error")).to_contain_text("Expliquez")
    fill(inbox, "#declined-reason", "Plus de")
    follow(inbox, "details[open] button")
    expect(page.locator("main")).to_contain_text("Déclinée\u00a0: plus de place")
    expect(page.locator("main")).not_to_contain_text("France Travail")
    assert now(house, referral)["answers"][0]["reason"] == "no-capacity"


def test_a_failure_says_why(inbox: Visited, house: House) -> None:
    """Whoever accepted and cannot go on tells the reason, too."""
    referral, page = sent(house), inbox.page
    house.answer(PARTNER, referral["referral_id"], status="accepted")
    page.goto(f"{house.url('referral')}/orientations/{referral['referral_id']}")
    press(inbox, "summary:has-text('Interrompre')")
    fill(inbox, "#failed-reason", "Personne inj")
    follow(inbox, "details[open] button")
    expect(page.locator("main")).to_contain_text("Interrompue\u00a0: personne injoignable")


def test_what_looks_like_a_nir_is_refused_beside_its_field(inbox: Visited, house: House) -> None:
    """And is not kept; the note can be mended."""
    referral, page = sent(house), inbox.page
    page.goto(f"{house.url('referral')}/orientations/{referral['referral_id']}")
    press(inbox, "summary:has-text('Accepter')")
    fill(inbox, "#accepted-note", "Son numéro : 2 07 03 80 570 012 34")
    follow(inbox, "details[open] button")
    expect(page.locator("#accepted-note-error")).to_contain_text("sécurité sociale")
    sound_on_any_screen(inbox)
    assert now(house, referral)["answers"] == []


def test_pressing_twice_answers_once(inbox: Visited, house: House) -> None:
    """A double click is one answer, and shows the list as after one."""
    referral = sent(house)
    only(inbox, house, referral)
    inbox.page.dblclick("article >> button:has-text('Accepter')")
    expect(inbox.page.get_by_role("status")).to_contain_text("Acceptée")
    assert [each["status"] for each in now(house, referral)["answers"]] == ["accepted"]
    inbox.page.reload()
    expect(inbox.page.locator("article")).to_contain_text("Acceptée")


def test_the_same_form_sent_again_is_the_same_answer(house: House) -> None:
    """As over HTTP: taken once, and no complaint; with other content it is refused in words."""
    referral = sent(house)
    address = f"/orientations/{referral['referral_id']}/reponse"
    with logged_in(house, "partner", PARTNER) as browser:
        form = {"answer_id": "page:1", "status": "accepted", "note": "Bonjour"}
        for _ in range(2):
            answer = browser.post(address, data=form)
            assert (answer.status_code, answer.headers["Location"]) == (
                303,
                f"../../orientations/{referral['referral_id']}?done=1",
            )
        other = browser.post(address, data=form | {"note": "Autre chose"})
        assert other.status_code == 409
        assert "n’a pas été enregistré" in other.text
        assert "Autre chose" in other.text
    assert len(now(house, referral)["answers"]) == 1


def test_what_was_taken_back_meanwhile_is_said_in_words(inbox: Visited, house: House) -> None:
    """409: the present state instead of a code, the note that was typed, and only what is still possible."""
    referral, page = sent(house), inbox.page
    identifier = referral["referral_id"]
    page.goto(f"{house.url('referral')}/orientations/{identifier}")
    press(inbox, "summary:has-text('Accepter')")
    fill(inbox, "#accepted-note", "Nous la rappelons lundi.")
    url = f"{house.url('referral')}/v1/referrals/{identifier}/withdraw"
    assert house.client.post(url, json={"reason": "person"}, headers=house.bearer("site", SITE)).status_code == 201
    follow(inbox, "details[open] button")
    alert = page.get_by_role("alert")
    expect(alert).to_be_focused()
    expect(alert).to_contain_text("n’a pas été enregistré")
    expect(alert).to_contain_text("« Retirée »")
    expect(alert).to_contain_text("Nous la rappelons lundi.")
    expect(page.locator("summary")).to_have_count(0)
    sound_on_any_screen(inbox)


def test_on_paper_there_is_what_can_be_read_and_nothing_to_press(inbox: Visited, house: House) -> None:
    """The list and one referral; the whole referral on one sheet."""
    referral, page = sent(house), inbox.page
    for path in (f"/?number={referral['referral_id'][-8:]}", f"/orientations/{referral['referral_id']}"):
        page.goto(f"{house.url('referral')}{path}")
        page.emulate_media(media="print")
        printed = page.inner_text("body")
        for told in ("Jeune sans emploi ni formation", "France services Moreuil", "Accuser réception, au plus tard"):
            assert told in printed
        assert page.locator("button:visible, summary:visible, input:visible").count() == 0
        assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) == 1
        page.emulate_media(media="screen")


def test_it_works_without_scripts(browser: Browser, house: House) -> None:
    """Logging in, opening a form, being told what is wrong, answering."""
    referral = sent(house)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{house.url('referral')}/login?invitation={house.tokens.invite('partner', PARTNER, 'referral')}")
    page.click("text=Entrer")
    expect(page).to_have_url(f"{house.url('referral')}/")
    page.goto(f"{house.url('referral')}/orientations/{referral['referral_id']}")
    page.click("summary:has-text('Décliner')")
    page.click("details[open] button")
    expect(page.locator("#declined-reason-error")).to_have_text("Choisissez un motif.")
    page.select_option("#declined-reason", "out-of-territory")
    page.click("details[open] button")
    expect(page.locator("main")).to_contain_text("Déclinée\u00a0: hors du territoire")
    context.close()


def test_nobody_acts_for_another(house: House) -> None:
    """Another partner's or another site's: 404 as a page, for reading, answering and taking back."""
    referral = sent(house)
    path = f"/orientations/{referral['referral_id']}"
    others: tuple[tuple[Role, str], ...] = (("partner", "france-travail"), ("agent", "fs-roye"), ("site", "hem"))
    for role, org in others:
        with logged_in(house, role, org) as browser:
            for answer in (
                browser.get(path),
                browser.post(f"{path}/reponse", data={"answer_id": "page:1", "status": "accepted"}),
                browser.post(f"{path}/retrait", data={"reason": "person"}),
            ):
                assert answer.status_code == 404
                assert answer.headers["Content-Type"].startswith("text/html")
                assert "<h1>" in answer.text
    assert now(house, referral)["state"] == "sent"


def test_each_side_has_its_own_part(house: House) -> None:
    """The site cannot answer for the partner, nor the partner take back what the site sent: 403, as a page."""
    referral = sent(house)
    path = f"/orientations/{referral['referral_id']}"
    with logged_in(house, "agent", SITE) as browser:
        assert browser.post(f"{path}/reponse", data={"answer_id": "page:1", "status": "accepted"}).status_code == 403
    with logged_in(house, "partner", PARTNER) as browser:
        assert browser.post(f"{path}/retrait", data={"reason": "person"}).status_code == 403
    assert now(house, referral)["state"] == "sent"


def test_no_other_site_and_nobody_without_a_session_makes_it_answer(house: House) -> None:
    """What another page makes a browser send, what comes without the browser's headers, what has no session: 403."""
    referral = sent(house)
    path = f"/orientations/{referral['referral_id']}"
    form = {"answer_id": "page:1", "status": "accepted"}
    with logged_in(house, "partner", PARTNER) as browser:
        cookies = dict(browser.cookies)
        headers: list[dict[str, str]] = [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://example.org"},
            {},
        ]
        for sent_with in headers:
            answer = httpx.post(
                f"{house.url('referral')}{path}/reponse", data=form, headers=sent_with, cookies=cookies, trust_env=False
            )
            assert answer.status_code == 403
        browser.post("/logout")
        assert browser.post(f"{path}/reponse", data=form).status_code == 403
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (303, "../login")
    assert now(house, referral)["state"] == "sent"


def test_what_is_overdue_says_so_and_stands_first(inbox: Visited, house: House) -> None:
    """After the clock has passed, the referral moves to « En retard »: in words, not by colour alone."""
    referral, page = sent(house), inbox.page
    _overdue(house, referral["referral_id"])
    only(inbox, house, referral)
    expect(page.locator("section[aria-labelledby=late] article")).to_have_count(1)
    expect(page.locator("#late")).to_have_text("En retard\u00a0: 1\u00a0orientation")
    expect(page.locator("article h3")).to_contain_text("(en retard)")
    expect(page.locator("article")).to_contain_text("C’était attendu au plus tard le")
    sound_on_any_screen(inbox)


def _overdue(house: House, referral: str) -> None:
    with psycopg.connect(house.databases["referral"].replace("postgresql+psycopg://", "postgresql://")) as database:
        database.execute("UPDATE referrals SET due_at = now() - interval '2 days' WHERE id = %s", (referral,))
