"""Notices by mail: a real mail server, a real database, and a clock that is moved."""

from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlalchemy import text

from services.chassis.app import App
from services.chassis.database import Database
from services.chassis.errors import Unavailable
from services.chassis.settings import Settings
from services.contracts.codes import NEED_LABELS, Need
from services.network.schema import NamedContact
from services.referral import board, notices
from services.referral.page_forms import BoardQuery
from tests.support.office import AGENT, HELPS, NETWORK, SITE, THEN, Desk, partner, proposed
from tests.support.smtp import MailServer, mail_server

INBOX, OTHERS, CONTACT = "accueil@partenaire.example", "standard@ailleurs.example", "d.exemple@partenaire.example"
NAME = "Mission locale d'été de l’Avre"


@pytest.fixture
def server() -> Iterator[MailServer]:
    """Lend a mail server on this very machine."""
    with mail_server() as made:
        yield made


@pytest.fixture
def told(desk: Desk, server: MailServer) -> Desk:
    """Lend a desk of a network where two partners are told by mail, one of them with a named contact, from now on."""
    desk.app.settings = mailing(server)
    contact = NamedContact(name="Dominique d’Exemple", email=CONTACT)
    change(desk, HELPS, name=NAME, notify=(INBOX,), contact=contact)
    change(desk, THEN, notify=(OTHERS,))
    assert go(desk) == 0
    return desk


@pytest.fixture
def other(desk: Desk) -> Iterator[Database]:
    """Open the desk's database a second time, as another replica does."""
    database = Database(desk.app.database.engine.url.render_as_string(hide_password=False), "other")
    yield database
    database.close()


def mailing(server: MailServer) -> Settings:
    """The settings that lead to a server."""
    return Settings(
        smtp_url=server.url, mail_from="relais@poste.example", public_url="https://relais.example/{service}"
    )


def change(desk: Desk, who: str, **fields: Any) -> None:  # noqa: ANN401 - a partner's
    """Have a partner changed in the network files."""
    partners = desk.office.network.partners
    desk.with_network(partners=tuple(p.model_copy(update=fields) if p.id == who else p for p in partners))


def go(desk: Desk) -> int:
    """One round; how many mails were taken."""
    return notices.send(desk.app, desk.office.network)


def words(mail: EmailMessage) -> str:
    """Its text on one line, with plain spaces."""
    return " ".join(mail.get_content().split())


def subject(mail: EmailMessage) -> str:
    """Its subject with plain spaces."""
    return " ".join(str(mail["Subject"]).split())


def marks(desk: Desk) -> dict[str, int]:
    """The marks that notices have made."""
    with desk.app.read() as connection:
        found = connection.execute(text("SELECT name, position FROM marks WHERE name ~ '^(mail|call)[.]'"))
        return {row.name: row.position for row in found}


def count(desk: Desk, outcome: str) -> float:
    """How many mails the metric counts."""
    value = desk.app.metrics.registry.get_sample_value("relais_mails_total", {"outcome": outcome})
    return value or 0.0


def test_a_digest(told: Desk, server: MailServer) -> None:
    """What is new in one mail, how much is open, where to look; once."""
    told.open()
    told.open()
    assert [go(told), go(told)] == [1, 0]
    (mail,) = server.mails
    assert (mail["To"], mail["From"]) == (INBOX, "Relais <relais@poste.example>")
    assert subject(mail) == "Relais : 2 orientations vous attendent"
    assert words(mail) == (
        f"Pour {NAME} : - 2 nouvelles orientations En tout, 2 orientations ouvertes, dont 0 en retard. Votre boîte de"
        " réception : https://relais.example/referral/ Un message peut être lu par d’autres que vous : celui-ci ne dit"
        " donc rien des personnes."
    )
    assert count(told, "sent") == 1


def test_one_an_hour_at_most(told: Desk, server: MailServer) -> None:
    """The first at once, the others together an hour later; what was answered meanwhile is not told."""
    told.open()
    assert go(told) == 1
    answered = [told.open(), told.open()]
    told.open()
    for referral, status in zip(answered, ("accepted", "received"), strict=True):
        told.answer(referral, partner(HELPS), status)
    told.clock.move(minutes=59)
    assert go(told) == 0
    told.clock.move(minutes=1)
    assert go(told) == 1
    assert subject(server.mails[-1]) == "Relais : 3 orientations vous attendent"
    assert "- 2 nouvelles orientations En tout, 4 orientations ouvertes" in words(server.mails[-1])


def test_its_own_answers_make_no_mail(told: Desk, server: MailServer) -> None:
    """Nor what happens to what it sent to a site; and its mark goes on."""
    referral = told.open()
    go(told)
    told.clock.move(hours=2)
    for status in ("received", "accepted", "in-progress"):
        told.answer(referral, partner(HELPS), status)
    told.answer(referral, partner(HELPS), "completed", outcome="helped")
    sent = told.send(HELPS)
    told.answer(sent, AGENT, "received")
    before = marks(told)[f"mail.{HELPS}"]
    assert go(told) == 0
    assert marks(told)[f"mail.{HELPS}"] > before
    told.clock.move(days=31)
    told.ring()
    assert "ReferralExpired" in told.told(HELPS)
    assert go(told) == 0
    assert len(server.mails) == 1


def test_reminders_withdrawals_and_ends(told: Desk, server: MailServer) -> None:
    """Each is counted; what is late as the inbox counts it, and the next recipient has a new one."""
    first, second, third = told.open(), told.open(), told.open()
    go(told)
    told.clock.move(days=11)
    told.ring()
    told.withdraw(first, AGENT)
    told.withdraw(second, AGENT, "entered-in-error")
    told.open()
    assert go(told) == 1
    said = words(server.mails[-1])
    assert "- 1 nouvelle orientation - 1 orientation relancée, sans réponse - 2 orientations retirées En tout" in said
    assert "En tout, 2 orientations ouvertes, dont 1 en retard." in said
    seen = board.inbox(BoardQuery(), partner(HELPS), told.app, told.office.network).totals
    assert (sum(seen.values()), seen["late"]) == (2, 1)
    told.clock.move(days=21)
    told.ring()
    assert told.row(third).state == "expired"
    assert go(told) == 3
    assert "orientation expirée" in words(server.to(INBOX)[-1])
    assert "- 1 nouvelle orientation" in words(server.to(OTHERS)[-1])
    assert len(server.to(CONTACT)) == 1


def test_nothing_is_waited_for_any_more(told: Desk, server: MailServer) -> None:
    """A withdrawal of the only one is told, with another subject."""
    referral = told.open()
    go(told)
    told.withdraw(referral, AGENT)
    told.clock.move(hours=1)
    assert go(told) == 1
    assert subject(server.mails[-1]) == "Relais : du nouveau dans vos orientations"


def test_the_named_contact_is_told_at_once(told: Desk, server: MailServer) -> None:
    """Within the hour of a digest, too, each time, and since when it is waited for."""
    told.open()
    told.clock.move(days=11)
    told.ring()
    told.clock.move(days=10)
    told.open()
    assert go(told) == 1
    assert told.ring() == 2
    assert go(told) == 1
    (mail,) = server.to(CONTACT)
    assert subject(mail) == "Relais : 1 orientation reste sans réponse"
    assert words(mail).startswith(
        f"Bonjour Dominique d’Exemple, vous êtes la personne à appeler pour {NAME}. Une orientation reste sans réponse"
        " depuis le vendredi 20 novembre. Votre boîte"
    )
    assert go(told) == 0
    late = told.open()
    with told.app.read() as connection:
        connection.execute(
            text("UPDATE referrals SET since = :at, wake_at = :at WHERE id = :id"),
            {"id": late, "at": told.clock.now() - timedelta(days=21)},
        )
    told.ring()
    assert go(told) == 1
    assert len(server.to(CONTACT)) == 2


def test_without_news(told: Desk, server: MailServer) -> None:
    """Accepted ones are asked for news; what has got an answer meanwhile is not told."""
    for _ in range(3):
        told.answer(told.open(), partner(HELPS), "accepted")
    told.clock.move(days=30)
    told.ring()
    with told.app.read() as connection:
        last = connection.execute(text("SELECT id FROM referrals ORDER BY change DESC LIMIT 1")).scalar_one()
    told.answer(UUID(str(last)), partner(HELPS), "in-progress")
    go(told)
    (mail,) = server.to(CONTACT)
    assert subject(mail) == "Relais : 2 orientations restent sans nouvelles"
    assert "2 orientations restent sans nouvelles, la plus ancienne depuis le vendredi 20 novembre." in words(mail)


def test_nothing_about_a_person_is_in_a_mail(told: Desk, server: MailServer) -> None:
    """No number, need, site, commune, département or reason, in the head or the text of any of them."""
    referral = told.open(proposed(need=Need.LOGEMENT))
    go(told)
    for _ in range(3):
        told.clock.move(days=10)
        told.ring()
        go(told)
    told.clock.move(days=1)
    told.ring()
    go(told)
    row, site = told.row(referral), NETWORK.site(SITE)
    assert site
    ids = (row.id, row.case_id, row.visit_id, row.orientation_id, row.next_id)
    secret = [*map(str, ids), str(row.id)[-8:], Need.LOGEMENT, NEED_LABELS[Need.LOGEMENT], row.reason]
    secret += [SITE, site.name, "Moreuil", site.commune, "Somme", "80"]
    assert len(server.mails) > 4
    for mail in server.mails:
        head = " ".join(f"{name}: {value}" for name, value in mail.items() if name not in {"Message-ID", "Date"})
        for each in secret:
            assert each.lower() not in f"{head} {words(mail)}".lower(), each


def test_a_server_that_is_away_is_waited_for(told: Desk, server: MailServer) -> None:
    """Then the partner is told of all of it in one mail; the log says why once a round, and not of whom or to whom."""
    server.stop()
    referral = told.open()
    told.open(proposed(proposed().proposals[0].recipients[1]))
    with structlog.testing.capture_logs() as logged:
        assert go(told) == 0
    assert [(each["event"], each["reason"]) for each in logged] == [
        ("mail server fails", "cannot be reached: connection refused")
    ]
    assert not {str(referral), INBOX, "logement"} & set(map(str, logged[0].values()))
    told.open()
    server.start()
    assert go(told) == 2
    assert subject(server.to(INBOX)[0]) == "Relais : 2 orientations vous attendent"
    assert (count(told, "failed"), count(told, "sent")) == (1, 2)


def test_a_mailbox_that_is_none_stops_no_other(told: Desk, server: MailServer) -> None:
    """Tried again after an hour, with what has come since."""
    server.refused = {INBOX}
    told.open()
    told.open(proposed(proposed().proposals[0].recipients[1]))
    assert [go(told), go(told)] == [1, 0]
    assert [mail["To"] for mail in server.mails] == [OTHERS]
    assert count(told, "refused") == 1
    server.refused = set()
    told.clock.move(hours=1)
    assert go(told) == 1
    assert server.mails[-1]["To"] == INBOX


def test_a_crash_after_the_mail_sends_it_again(told: Desk, server: MailServer, other: Database) -> None:
    """The database goes away between the server's word and the mark: twice is better than never."""
    told.open()

    def crash() -> None:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        with other.begin() as connection:
            connection.execute(text(f"{cut} AND pid <> pg_backend_pid()"))

    server.taken = crash
    with pytest.raises(Unavailable):
        go(told)
    assert len(server.mails) == 1
    server.taken = lambda: None
    assert [go(told), go(told)] == [1, 0]
    assert len(server.mails) == 2


def test_of_two_replicas_one_sends(told: Desk, server: MailServer, other: Database) -> None:
    """The other goes on with its own work at once, and sends once the first is gone."""
    told.open()
    replica = App("referral", told.app.settings, other, clock=told.clock)
    beside: list[int] = []
    server.taken = lambda: beside.append(notices.send(replica, told.office.network))
    assert go(told) == 1
    assert beside == [0]
    server.taken = lambda: None
    assert notices.send(replica, told.office.network) == 0
    told.clock.move(hours=1)
    told.open()
    assert notices.send(replica, told.office.network) == 1
    assert len(server.mails) == 2


def test_a_name_adds_no_line_to_a_mail(told: Desk, server: MailServer) -> None:
    """Whatever a network file calls a partner or its contact."""
    evil = "Mission\r\nBcc: voleur@ailleurs.example\r\n\r\nlocale"
    change(told, HELPS, name=evil, contact=NamedContact(name=evil, email=CONTACT))
    told.open()
    told.clock.move(days=21)
    told.ring()
    assert go(told) == 2
    for mail, envelope in zip(server.mails, server.envelopes, strict=True):
        assert mail["Bcc"] is None
        assert envelope.rcpt_tos == [mail["To"]]
        assert "Mission Bcc: voleur@ailleurs.example locale" in mail.get_content()


def test_without_a_mail_server_nothing_is_kept(desk: Desk) -> None:
    """Nor sent."""
    change(desk, HELPS, notify=(INBOX,))
    desk.open()
    assert go(desk) == 0
    assert marks(desk) == {}


def test_whoever_is_new_is_told_from_now_on(told: Desk, server: MailServer) -> None:
    """And whoever leaves and comes back; of those who left nothing is kept."""
    told.open()
    go(told)
    change(told, HELPS, notify=(), contact=None)
    told.open()
    go(told)
    assert marks(told).keys() == {f"mail.{THEN}"}
    change(told, HELPS, notify=(INBOX,))
    assert go(told) == 0
    told.open()
    assert go(told) == 1
    assert "- 1 nouvelle orientation En tout, 3 " in words(server.mails[-1])
