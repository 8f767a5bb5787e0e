"""Recording visits: each is written with its case and its event in one commit, once, whatever is sent again."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import exc, text

from services.chassis import problems
from services.chassis.app import App, Work
from services.chassis.errors import FieldError, Rejected, forbidden
from services.chassis.letters import Letter, Reply
from services.chassis.tokens import Caller
from services.contracts.codes import Mode, concerns_spie, department_of
from services.contracts.envelope import as_json
from services.contracts.intake import NeedFacts, VisitRecorded
from services.contracts.paris import paris_day
from services.contracts.visits import REPEATED, repeated_needs
from services.intake import agreements, decided, erasing, opening
from services.intake.domain import days
from services.intake.forms import VisitAnswer, VisitForm
from services.intake.namesakes import Namesakes
from services.intake.tables import visits
from services.intake.told import visit_field
from services.network import Network, communes

_ATTEMPTS = 3
_VISIT_ID = re.compile(rb'"visit_id"\s*:\s*"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"')
# In one statement, since each visit asks it. OFFSET 0: by the index, in a table that nobody has analysed as well.
_KNOWN = text("""
    SELECT wanted.site, wanted.visit_id, known.*
    FROM json_to_recordset(CAST(:wanted AS json)) AS wanted (site text, visit_id uuid, digest bytea)
    LEFT JOIN LATERAL (
        SELECT fingerprint, possible_matches, case_id, reference_sealed
        FROM visits LEFT JOIN cases ON cases.id = visits.case_id
        WHERE visits.site = wanted.site AND visits.visit_id = wanted.visit_id OFFSET 0) AS known ON true
    LEFT JOIN LATERAL (
        SELECT digest FROM erased_visits WHERE digest = wanted.digest OFFSET 0) AS erased ON true
    WHERE known.fingerprint IS NOT NULL OR erased.digest IS NOT NULL""")
_NOTHING_TO_EXPLAIN = "Il n’y a pas de choix à expliquer : nommez dans « recipient » le partenaire choisi, ou rien ici."
LINES_TYPE = "application/x-ndjson"
MAX_LINES = 1000
MAX_LINES_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Posted:
    """A visit, who sent it, and in which trace."""

    form: VisitForm
    caller: Caller
    traceparent: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the site is told; `again` when the very same visit was already there."""

    answer: VisitAnswer
    again: bool


def record_visit(form: VisitForm, caller: Caller, app: App, network: Network, traceparent: str) -> Recorded:
    """Record one visit. Raises Rejected: 403 for another site's, 409 for other content under a known id, 422."""
    result = record_visits([Posted(form, caller, traceparent)], app, network)[0]
    if isinstance(result, Rejected):
        raise result
    return result


def record_visits(posted: Sequence[Posted], app: App, network: Network) -> list[Recorded | Rejected]:
    """Record many visits in one transaction, each for itself: a wrong one spoils no other."""
    for attempt in range(_ATTEMPTS):
        try:
            with app.work() as work:
                desk = _Desk(app, network, work, [one.form for one in posted])
                results = [desk.record(one) for one in posted]
                desk.finish()
            break
        except exc.IntegrityError:
            # The same visit arrived twice at once: the other request won, and this one will now find it.
            if attempt == _ATTEMPTS - 1:
                raise
    for one, result in zip(posted, results, strict=True):
        if isinstance(result, Recorded) and not result.again:
            app.metrics.count("relais_visits", "Visits recorded.", site=one.form.site, channel=one.form.channel)
    return results


def record_lines(body: bytes, caller: Caller, app: App, network: Network, traceparent: str) -> str:
    """Record visits sent one a line; one result line each, in order. Raises Rejected when there are too many lines."""
    lines = [line for line in body.splitlines() if line.strip()]
    if len(lines) > MAX_LINES:
        raise Rejected("too-large", f"Au plus {MAX_LINES} lignes par envoi.", status=413)
    limit = app.settings.max_body_bytes
    too_large = Rejected("too-large", f"La ligne dépasse {limit} octets.", status=413)
    letters = [Letter(caller, line, traceparent, too_large if len(line) > limit else None) for line in lines]
    return "".join(f"{reply.body}\n" for reply in record_letters(letters, app, network))


def record_letters(letters: Sequence[Letter], app: App, network: Network) -> list[Reply]:
    """Record what can be read, in one transaction; an answer or a problem document for each, in order."""
    read = [_read(letter) for letter in letters]
    good = [one for one in read if isinstance(one, Posted)]
    recorded = iter(record_visits(good, app, network)) if good else iter(())
    results = [next(recorded) if isinstance(one, Posted) else one for one in read]
    return [_reply(letter, result) for letter, result in zip(letters, results, strict=True)]


def _read(letter: Letter) -> Posted | Rejected:
    try:
        return Posted(letter.read(VisitForm), letter.caller, letter.traceparent)
    except Rejected as refused:
        # Finding thousands of wrong fields takes some 20 ms, and a batch may have hundreds of such: others go between.
        time.sleep(0)
        return refused


def _reply(letter: Letter, result: Recorded | Rejected) -> Reply:
    if isinstance(result, Recorded):
        status = 200 if result.again else 201
        return Reply(status, f'{result.answer.model_dump_json()[:-1]},"status":{status}}}')
    problem = {"visit_id": _visit_id_of(letter), **problems.document(result)}
    return Reply(result.status, json.dumps(problem, ensure_ascii=False))


def _visit_id_of(letter: Letter) -> str | None:
    """The id of a visit that was refused, so that the sender can tell which it was."""
    if letter.problem:  # of any size or kind: read as little as it was to be
        found = _VISIT_ID.search(letter.body)
        return found[1].decode().lower() if found else None
    try:
        document = json.loads(letter.body)
        return str(UUID(document["visit_id"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


class _Desk:
    """One transaction's view: what is already known of these visits is read once for all of them."""

    def __init__(self, app: App, network: Network, work: Work, forms: Sequence[VisitForm]) -> None:
        self._app, self._network, self._work = app, network, work
        self._erased: set[tuple[str, UUID]] = set()
        self._known = self._visits_known(forms)
        self._cases = opening.named_cases(work, forms)
        self._indexes = {
            (form.site, form.visit_id): opening.indexes_of(app.vault, form)
            for form in forms
            if form.person and not form.case
        }
        self._namesakes = Namesakes(app, work, (each["identity_index"] for each in self._indexes.values()))
        self._standings = decided.standings_of(work.connection, {form.case for form in forms if form.case}, hold=True)
        naming = [form for form in forms if (form.site, form.case) in self._cases]
        self._births = agreements.births_wanted(naming, self._standings, work, app.vault)
        self._contacts: dict[UUID, Any] = {}  # the last day of each
        self._told: set[UUID] = set()  # the heads of those with a story
        self._fresh: dict[tuple[str, UUID], dict[str, Any]] = {}

    def record(self, posted: Posted) -> Recorded | Rejected:
        """Record one visit, or say why not."""
        form, self._work.traceparent = posted.form, posted.traceparent
        if form.site != posted.caller.org:
            return forbidden("Ce jeton n’est pas celui de ce site.")
        fingerprint = self._app.vault.index("visit", form.model_dump_json(exclude_defaults=True))
        known = self._known.get((form.site, form.visit_id))
        if known is not None:
            if known["fingerprint"] == fingerprint:
                return Recorded(known["answer"], again=True)
            return Rejected("conflict", "Une autre visite porte déjà ce visit_id.", status=409)
        if (form.site, form.visit_id) in self._erased:
            return Rejected("erased", "Cette visite a été effacée avec son dossier.", status=410)
        if errors := self._errors(form):
            return Rejected("invalid", errors[0]["detail"], errors=errors)
        answer = self._write(form, fingerprint)
        self._known[form.site, form.visit_id] = {"fingerprint": fingerprint, "answer": answer}
        return Recorded(answer, again=False)

    def finish(self) -> None:
        """Write the visits, by id: two batches with the same ones, in whatever order, do not deadlock."""
        for key in sorted(self._fresh):
            self._work.insert(visits, **self._fresh[key])
        opening.met_again(self._work, self._contacts)

    def _errors(self, form: VisitForm) -> list[FieldError]:
        """What only the clock, the network and the database can tell, and what was not always refused.

        It is asked of new visits only: one that was recorded before is answered as it was then.
        """
        errors: list[FieldError] = []
        site, now = self._network.site(form.site), self._app.clock.now()
        if site is None:
            errors.append({"pointer": "/site", "detail": "Site absent des fichiers de réseau."})
        elif form.quarter is not None and form.quarter not in site.quarters:
            errors.append({"pointer": "/quarter", "detail": "Quartier absent des fichiers de réseau pour ce site."})
        timing = days.timing_problem(form.occurred_at, now, live=form.mode is Mode.LIVE)
        if timing:
            errors.append({"pointer": "/occurred_at", "detail": timing})
        if form.commune and (problem := communes.problem(form.commune)):
            errors.append({"pointer": "/commune", "detail": problem})
        if form.person and (problem := _age_problem(form)):
            errors.append({"pointer": "/age_band", "detail": problem})
        if form.case and (form.site, form.case) not in self._cases:
            errors.append({"pointer": "/case", "detail": "Dossier inconnu."})
        errors += [{"pointer": f"/needs/{place}", "detail": REPEATED} for place in repeated_needs(form.needs)]
        for place, need in enumerate(form.needs):
            errors += [
                {"pointer": f"/needs/{place}/{field}", "detail": "Partenaire absent des fichiers de réseau."}
                for field, partner in (("recipient", need.recipient), ("operator", need.operator))
                if partner and self._network.partner(partner) is None
            ]
            if need.override_reason and need.recipient is None:
                errors.append({"pointer": f"/needs/{place}/override_reason", "detail": _NOTHING_TO_EXPLAIN})
        return [*errors, *agreements.problems_at_visit(form, self._births, now, self._network)]

    def _write(self, form: VisitForm, fingerprint: bytes) -> VisitAnswer:
        matches = 0
        case, reference, head = form.case, None, None
        if form.case:
            case, reference, head, told = self._cases[form.site, form.case]
            if told:
                self._told.add(head)
            day = paris_day(form.occurred_at)
            self._contacts[case] = max(day, self._contacts.get(case, day))
        elif form.person:
            indexes = self._indexes[form.site, form.visit_id]
            matches = self._namesakes.meet(indexes["identity_index"], form.site)
            case, reference, head, _ = opening.open_case(self._work, self._app.vault, form, indexes)
        standing = self._standings.get(form.case, decided.NOTHING) if form.case else decided.NOTHING
        agreed = agreements.at_visit(form, case, standing, self._work) if case else ()
        facts = self._facts(form, case, agreed, retold=head in self._told if form.story and head else None)
        self._fresh[form.site, form.visit_id] = {
            "site": form.site,
            "visit_id": form.visit_id,
            "fingerprint": fingerprint,
            "case_id": case,
            "possible_matches": matches,
            "occurred_at": form.occurred_at,
            "recorded_at": self._app.clock.now(),
            "facts": as_json(facts),
            "free_text_sealed": self._sealed_text(form, case),
            "story": bool(form.story),
        }
        if form.story and head:
            self._told.add(head)
        self._work.emit(facts)
        return self._answer(form.visit_id, case, reference, matches)

    def _sealed_text(self, form: VisitForm, case: UUID | None) -> bytes | None:
        """Story, notes and override reasons under the case's key; an anonymous visit has a key of its own."""
        texts: dict[str, Any] = {"story": form.story} if form.story else {}
        if form.person and form.case:
            # The case stays the one that was named; whom the site took it for is kept beside the visit.
            texts["person"] = form.person.model_dump_json()
        for place, need in enumerate(form.needs):
            texts |= {
                f"needs/{place}/{field}": text
                for field, text in (("note", need.note), ("override_reason", need.override_reason))
                if text
            }
        if not texts:
            return None
        key = self._work.key(case) if case else self._work.new_key(days.visit_owner(form.site, form.visit_id))
        return key.seal(visit_field(form.site, form.visit_id), json.dumps(texts, ensure_ascii=False))

    def _facts(
        self, form: VisitForm, case: UUID | None, agreed: tuple[str, ...], *, retold: bool | None
    ) -> VisitRecorded:
        day = paris_day(form.occurred_at)
        charter = self._network.charter_in_force(form.site, day)
        site = self._network.site(form.site)
        assert site is not None
        coded = form.model_dump(exclude={"needs", "person", "story", "agreement", "case", "commune"})
        commune = communes.today(form.commune) if form.commune else None
        return VisitRecorded(
            **coded,
            case=case,
            charter=charter.id if charter else None,
            spie=charter is not None and concerns_spie((need.code for need in form.needs), form.publics),
            commune=commune,
            department=department_of(commune) if commune else site.department,
            needs=tuple(NeedFacts(**need.model_dump(exclude={"note", "override_reason"})) for need in form.needs),
            agreed=agreed,
            agreed_at=form.agreement.given_at if form.agreement and agreed else None,
            sensitive=form.agreement is not None and form.agreement.sensitive and bool(agreed),
            retold=retold,
        )

    def _answer(self, visit_id: UUID, case: UUID | None, reference: str | None, matches: int) -> VisitAnswer:
        links = {"case": f"{self._app.settings.url('reporting')}/v1/cases/{case}"} if case else {}
        return VisitAnswer(visit_id=visit_id, case=case, reference=reference, possible_matches=matches, links=links)

    def _visits_known(self, forms: Sequence[VisitForm]) -> dict[tuple[str, UUID], dict[str, Any]]:
        wanted = [
            {
                "site": form.site,
                "visit_id": form.visit_id,
                "digest": rf"\x{erasing.digest_of_visit(form.site, form.visit_id).hex()}",
            }
            for form in forms
        ]
        known = {}
        for row in self._work.execute(_KNOWN, {"wanted": orjson.dumps(wanted).decode()}):
            if row.fingerprint is None:
                self._erased.add((row.site, row.visit_id))
                continue
            reference = self._work.key(row.case_id).open("reference", row.reference_sealed) if row.case_id else None
            answer = self._answer(row.visit_id, row.case_id, reference, row.possible_matches)
            known[row.site, row.visit_id] = {"fingerprint": row.fingerprint, "answer": answer}
        return known


def _age_problem(form: VisitForm) -> str | None:
    assert form.person is not None
    return days.age_problem(form.age_band, form.person.birth_date, paris_day(form.occurred_at))
