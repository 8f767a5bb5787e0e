"""Proposing whom to meet, for a recorded visit or for one that an agent is still writing."""

from dataclasses import replace
from datetime import date, datetime, time

from services.chassis.app import App, Work
from services.chassis.errors import forbidden
from services.contracts.codes import Mode, Outcome, concerns_spie, visit_class
from services.contracts.envelope import CloudEvent
from services.contracts.intake import VisitRecorded
from services.contracts.orientation import OrientationProposed
from services.contracts.paris import PARIS, paris_day
from services.orientation import advice, archive, consultation, contact_sheets, explaining, queries
from services.orientation.asking import checked, residence
from services.orientation.consultation import Consultation, LookedUp, meant, told_commune
from services.orientation.forms import (
    ContactSheetsPage,
    ContactSheetsQuery,
    CounterForm,
    LookUp,
    ServicesPage,
    ServicesQuery,
    SimulateForm,
    Simulation,
)
from services.orientation.rules import Rules


def propose(event: CloudEvent[VisitRecorded], work: Work, rules: Rules) -> None:
    """One proposal per need to refer. A visit of the past, or with nothing to refer, needs none.

    What was proposed is in the ledger, and nowhere else.
    """
    visit = event.data
    if visit.mode is Mode.HISTORY or all(need.outcome is not Outcome.TO_REFER for need in visit.needs):
        return
    proposals = rules.propose(rules.visit(visit, visit.needs, paris_day(visit.occurred_at)))
    for proposal in proposals:
        overridden = "yes" if proposal.chosen else "no"
        work.count("relais_proposals", "Proposals made.", rule=proposal.rule, overridden=overridden)
    work.emit(
        OrientationProposed(
            orientation_id=work.ids.new(),
            visit_id=visit.visit_id,
            site=visit.site,
            occurred_at=visit.occurred_at,
            case=visit.case,
            spie=visit.spie,
            rules_version=rules.book.version,
            proposals=proposals,
            agreed=visit.agreed,
            agreed_at=visit.agreed_at,
            sensitive=visit.sensitive,
        )
    )


def simulate(form: SimulateForm, rules: Rules) -> Simulation:
    """What the rules would propose; stores nothing. Raises Rejected (422): see `checked`, partners included."""
    form = checked(form, rules, partners=True)
    day = paris_day(form.occurred_at)
    needs = [need.code for need in form.needs]
    charter = rules.network.charter_in_force(form.site, day) is not None
    visit = rules.visit(form, form.needs, day)
    proposals = rules.propose(visit)
    return Simulation(
        spie=charter and concerns_spie(needs, form.publics),
        class_=visit_class(needs),
        rules_version=rules.book.version,
        residence=residence(visit),
        proposals=proposals,
        information=advice.information(rules.network, needs, form.publics, charter=charter),
        journeys=advice.journeys(rules.network, proposals),
    )


def blank(site: str, rules: Rules, app: App) -> Consultation:
    """The agent's page before anything was filled in. Raises Rejected (403) for an unknown site."""
    found = rules.network.site(site)
    if found is None:
        raise forbidden("Votre site n’est pas dans les fichiers de réseau.")
    return Consultation(CounterForm(), found, paris_day(app.clock.now()))


def consult(form: CounterForm, site: str, rules: Rules, app: App) -> Consultation:
    """What the agent's page shows for what was filled in; stores nothing. Raises Rejected (403) as `blank`.

    For a day that is past, by the rules of that day.
    """
    page = replace(blank(site, rules, app), form=form)
    now, today = app.clock.now(), page.day
    asked, problems = consultation.read(form, today)
    if asked is None:
        return replace(page, problems=problems)
    occurred_at = now if asked.day == today else datetime.combine(asked.day, time(12), PARIS)
    visit = asked.visit(site, occurred_at)
    then, why = _rules_of(asked.day, occurred_at, page, rules, app)
    seen = then.visit(visit, visit.needs, asked.day)
    simulation = simulate(visit, then)
    charter = seen.charter_department is not None
    # What is said to the person is today's, whatever the rules: it decides nothing, and nobody needs an old number.
    information = advice.information(rules.network, [need.code for need in visit.needs], visit.publics, charter=charter)
    return replace(
        page,
        form=form.model_copy(update={"commune": told_commune(visit.commune)}),
        day=asked.day,
        problems=problems,
        simulation=simulation.model_copy(update={"information": information}),
        explanation=explaining.explained(visit, then, why),
        partners=then.partners_for(seen),
        sheets={
            (each.need, one.partner): sheet
            for each in simulation.proposals
            for one in each.recipients
            if (sheet := then.sheet(one.partner, each.need, seen))
        },
        told={
            each.need: advice.information(rules.network, [each.need], visit.publics, charter=charter)
            for each in simulation.proposals
            if each.desk_first
        },
        reference=asked.reference,
        with_sheets=then is rules,
    )


def _rules_of(
    day: date, occurred_at: datetime, page: Consultation, rules: Rules, app: App
) -> tuple[Rules, archive.Why]:
    """The rules of a day for the agent's page, with contact sheets where they are still the same rules."""
    if day == page.day:
        return rules, "in-use"
    with app.read() as connection:
        kept = archive.of_visit(connection, page.site.id, None, occurred_at)
    if kept is None or kept.rules.network.site(page.site.id) is None:
        return rules, "later"
    same = kept.rules.book.version == rules.book.version
    return (rules if same else kept.rules), kept.why


def look_up_sheets(asked: LookUp, site: str, rules: Rules, app: App) -> LookedUp[ContactSheetsPage]:
    """The contact sheets around a commune, by default the site's. Raises Rejected (403) as `blank`."""
    page = blank(site, rules, app)
    commune, problem = meant(asked.commune)
    if problem:
        return LookedUp(asked, problem=problem)
    query = ContactSheetsQuery(need=asked.need or None, commune=commune or page.site.commune)
    return LookedUp(asked, contact_sheets.list_sheets(query, rules.network, page.day))


def look_up_services(asked: LookUp, site: str, rules: Rules, app: App) -> LookedUp[ServicesPage]:
    """A page of the directory around a commune, by default the site's. Raises Rejected: 403 as `blank`, 422."""
    page = blank(site, rules, app)
    commune, problem = meant(asked.commune)
    if problem:
        return LookedUp(asked, problem=problem)
    query = ServicesQuery(
        need=asked.need or None,
        public=asked.public or None,
        commune=commune or page.site.commune,
        after=asked.after or None,
    )
    with app.read() as connection:
        return LookedUp(asked, queries.list_services(query, connection))
