"""A person's rights over a case: what is wrong put right, who looked."""

import json
from uuid import UUID

from sqlalchemy import Connection, select, update

from services.intake import accesses as log
from services.intake import agreements, told
from services.intake.call import Call
from services.intake.case_forms import AccessesView, AccessView, PersonView, StoryPut, StoryView
from services.intake.domain import people
from services.intake.forms import PersonForm
from services.intake.indexing import indexes_of
from services.intake.queries import Group, known_to, unknown_case
from services.intake.stories import for_agent
from services.intake.tables import accesses, cases, visits
from services.network import Network

ACTION_LABELS = {
    "found": "a vu le dossier dans une recherche",
    "confirmed": "a confirmé qu’il s’agit de la personne",
    "story-read": "a lu le récit",
    "case-read": "a lu le suivi du dossier",
    "agreements-read": "a lu les accords",
    "agreement-given": "a noté un accord",
    "agreement-withdrawn": "a noté le retrait d’un accord",
    "objection": "a noté une opposition",
    "objection-ended": "a noté la fin d’une opposition",
    "restriction": "a noté une limitation du traitement",
    "restriction-ended": "a noté la fin d’une limitation du traitement",
    "merged": "a réuni deux dossiers",
    "unmerged": "a séparé deux dossiers",
    "person-corrected": "a corrigé l’identité ou les coordonnées",
    "story-corrected": "a corrigé un récit",
    "accesses-read": "a lu la liste des accès",
    "exported": "a remis à la personne ce qui est conservé d’elle",
    "erased": "a effacé le dossier",
}


def accesses_of(case: UUID, call: Call) -> AccessesView:
    """Who looked. Raises Rejected (404)."""
    with call.app.work(call.traceparent) as work:
        group = known_to(work.connection, case, call.caller.org, work.now)
        found = accesses_in(work.connection, group, call.network)
        log.log(work, group.case, call.caller, "accesses-read")
    return AccessesView(case=group.case, accesses=found)


def accesses_in(connection: Connection, group: Group, network: Network) -> list[AccessView]:
    """The log of a person's cases, newest first; whom of an organisation it names is for the organisation to say."""
    order = accesses.c.at.desc(), accesses.c.number.desc()
    rows = connection.execute(select(accesses).where(accesses.c.case_id.in_(group.members)).order_by(*order))
    return [
        AccessView(
            at=row.at,
            org=row.org,
            name=name_of(network, row.org),
            role=row.role,
            action=row.action,
            label=ACTION_LABELS.get(row.action, row.action),
            referral_id=row.referral_id,
        )
        for row in rows
    ]


def name_of(network: Network, org: str) -> str:
    """What the network's files call a site or a partner; its id, where they know it no more."""
    known = network.site(org) or network.partner(org)
    return known.name if known else org


def correct_person(case: UUID, form: PersonForm, call: Call) -> PersonView:
    """Put an identity right: that of the case which all others are read with. Raises Rejected (404)."""
    with call.app.work(call.traceparent) as work:
        group = agreements.acting(case, call, work)
        person = people.person(form.family_name, form.given_name, form.birth_date)
        sealed = work.key(group.case).seal("identity", form.model_dump_json())
        found = {"identity_sealed": sealed, **indexes_of(call.app.vault, person)}
        work.execute(update(cases).where(cases.c.id == group.case).values(**found))
        agreements.recount_ages(group.case, call, work)
        log.log(work, group.case, call.caller, "person-corrected")
    return PersonView.model_validate(form.model_dump())


def correct_story(visit_id: UUID, form: StoryPut, call: Call) -> StoryView:
    """Put a story right. Raises Rejected (404), also for another site's visit, and where no story was told."""
    with call.app.work(call.traceparent) as work:
        own = (visits.c.site == call.caller.org) & (visits.c.visit_id == visit_id)
        case = work.execute(select(visits.c.case_id).where(own)).scalar()
        if case is None:
            raise unknown_case()
        group = agreements.acting(case, call, work)
        row = work.execute(select(visits).where(own)).one()
        texts = told.texts_of(work, row.case_id, row.site, visit_id, row.free_text_sealed)
        if "story" not in texts:
            raise unknown_case()
        written = json.dumps({**texts, "story": form.story}, ensure_ascii=False)
        sealed = work.key(row.case_id).seal(told.visit_field(row.site, visit_id), written)
        work.execute(update(visits).where(own).values(free_text_sealed=sealed))
        view = for_agent(work, group)
        log.log(work, group.case, call.caller, "story-corrected")
    return view
