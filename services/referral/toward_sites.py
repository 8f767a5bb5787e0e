"""Taking partners' referrals toward sites."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.dialects import postgresql

from services.chassis.app import App, Work
from services.chassis.errors import FieldError, Rejected, forbidden
from services.chassis.tokens import Caller
from services.contracts import consent
from services.contracts.codes import Category, ReferralState
from services.contracts.paris import paris_day
from services.contracts.referral import ReferralSent
from services.network import Network, Partner, Site
from services.referral import agreements, decided, steps
from services.referral.domain import clocks, life
from services.referral.forms import ReferralForm, ReferralTaken, SenderLinks
from services.referral.tables import IS_OPEN, SHOWN_TO_RECIPIENT, history, referrals

_TOWARD_SITE = "Un partenaire adresse cette personne au site, pour l’aider dans ses démarches."
_URGENT = "Ce besoin n’attend pas, et une orientation vers un site attendrait."


def send(
    form: ReferralForm, caller: Caller, app: App, network: Network, traceparent: str
) -> tuple[ReferralTaken, bool]:
    """Send a person from a partner to a site; and whether it was sent already.

    Raises Rejected: 403 for who is no partner of this network, 409 when the id is taken by other content or another
    sender's, 422 for a need that an `urgent` line answers, a site without the label, an `about` that is not the
    caller's to go on from, or an agreement that is missing.

    That an id is taken by another is said of nothing but what would be sent otherwise: a guess costs a referral.
    """
    partner = network.partner(caller.org)
    if partner is None:
        raise forbidden("Votre organisation n’est pas un partenaire de ce réseau.")
    fingerprint = app.vault.index("referral", f"{caller.org}\x00{form.model_dump_json(exclude_defaults=True)}")
    with app.work(traceparent) as work:
        again = _known(form, caller, fingerprint, work)
        if not again:
            about = _about(form, caller, network, work)
            site = _checked(form, partner, network, about)
            day = paris_day(work.now)
            due_at, wake_at = steps.first_times(ReferralState.SENT, day, clocks.Clocks(), site.department)
            sent = _sent(form, partner.id, site, about, due_at)
            again = not _write(form, sent, fingerprint, wake_at, work)
            if again and not _known(form, caller, fingerprint, work):
                raise _taken()
    links = SenderLinks(referrals=f"{app.settings.url('referral')}/v1/referrals")
    taken = ReferralTaken(
        referral_id=form.referral_id, site=form.site, need=form.need, state=ReferralState.SENT, links=links
    )
    return taken, again


def _known(form: ReferralForm, caller: Caller, fingerprint: bytes, work: Work) -> bool:
    """Whether the caller sent this very referral before. Raises Rejected (409) when the id is another's of its own."""
    own = select(referrals.c.fingerprint).where(referrals.c.id == form.referral_id, referrals.c.sender == caller.org)
    row = work.execute(own).first()
    if row and row.fingerprint != fingerprint:
        raise _taken()
    return row is not None


def _taken() -> Rejected:
    return Rejected("conflict", "Une autre orientation porte déjà ce referral_id.", status=409)


def _about(form: ReferralForm, caller: Caller, network: Network, work: Work) -> Row[Any] | None:
    """The referral that this one is about: sent to this very partner, open, and still agreed to by the person."""
    if form.about is None:
        return None
    decided.hold(work)
    own = select(referrals).where(referrals.c.id == form.about, referrals.c.partner == caller.org)
    row = work.execute(own.where(SHOWN_TO_RECIPIENT, text(IS_OPEN))).first()
    if row is None:
        return None
    decisions = decided.of(work, [row.case_id]).get(row.case_id, {})
    last = consent.deciding(decisions, (row.partner, row.category))
    return None if last and agreements.is_taken_back(row, last, network) else row


def _checked(form: ReferralForm, partner: Partner, network: Network, about: Row[Any] | None) -> Site:
    """The site, after what only the network and the database can tell. Raises Rejected (422)."""
    errors: list[FieldError] = []
    urgent = next((line for line in network.lines if line.urgent and form.need in line.all_needs), None)
    if urgent:
        errors.append({"pointer": "/need", "detail": f"{_URGENT} {urgent.reason}"})
    site = network.site(form.site)
    if site is None:
        errors.append({"pointer": "/site", "detail": "Site absent des fichiers de réseau."})
    elif site.label != "granted":
        errors.append({"pointer": "/site", "detail": "Ce site n’a pas le label France services."})
    if form.about and about is None:
        errors.append({"pointer": "/about", "detail": "Aucune orientation ouverte de ce numéro ne vous est adressée."})
    tells_health = life.tells_health(form.need, sender_reveals=partner.reveals_health)
    if tells_health and form.about:
        detail = (
            "Cette orientation révèle un fait de santé ou de handicap : rattachée au dossier, elle le dirait à tous les"
            " sites qui le connaissent. Envoyez-la sans « about »."
        )
        errors.append({"pointer": "/about", "detail": detail})
    if tells_health and not form.sensitive:
        detail = "Cette orientation révèle un fait de santé ou de handicap : l’accord explicite est attendu (true)."
        errors.append({"pointer": "/sensitive", "detail": detail})
    if errors or site is None:
        raise Rejected("invalid", errors[0]["detail"], errors=errors)
    return site


def _sent(form: ReferralForm, sender: str, site: Site, about: Row[Any] | None, due_at: datetime | None) -> ReferralSent:
    """What is told inside: the site is whom the referral goes to, and no partner's queue gets a view of it."""
    assert due_at is not None
    return ReferralSent(
        referral_id=form.referral_id,
        visit_id=about.visit_id if about else None,
        case=about.case_id if about else None,
        need=form.need,
        partner=site.id,
        category=Category.SITE,
        site=site.id,
        department=site.department,
        reason=_TOWARD_SITE,
        due_at=due_at,
        step=1,
        sender=sender,
    )


def _write(form: ReferralForm, sent: ReferralSent, fingerprint: bytes, wake_at: datetime | None, work: Work) -> bool:
    """Write the referral and its event; False, and neither, when the same id was faster."""
    # Before the note's key, as answers do: each would wait for the other.
    work.commit_in_order(at_once=True)
    insert = postgresql.insert(referrals).values(
        **sent.model_dump(exclude={"referral_id", "case"}),
        since=work.now,
        wake_at=wake_at,
        id=form.referral_id,
        case_id=sent.case,
        fallbacks="[]",
        state=ReferralState.SENT,
        opened_at=work.now,
        changed_at=work.now,
        about=form.about,
        fingerprint=fingerprint,
        sealed=_sealed_note(form, sent, work),
    )
    if work.execute(insert.on_conflict_do_nothing().returning(referrals.c.id)).first() is None:
        return False
    first = {"step": 1, "state": ReferralState.SENT, "by": sent.sender, "reason": None, "at": work.now, "event": None}
    work.insert(history, referral_id=form.referral_id, **first)
    work.emit(sent)
    return True


def _sealed_note(form: ReferralForm, sent: ReferralSent, work: Work) -> bytes | None:
    if not form.note:
        return None
    key = work.key(life.owner_of_words(sent.case, form.referral_id, sent.sender))
    return key.seal(f"referral/{form.referral_id}/note", form.note)
