"""What a client may ask, and the shapes of the answers."""

from datetime import date
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, computed_field, model_validator

from services.chassis.errors import Rejected
from services.contracts.intake import Identifier
from services.reporting.domain.figures import By, last_twelve_months

_MEDIA = {
    "*/*": "json",
    "application/*": "json",
    "application/json": "json",
    "text/*": "csv",
    "text/csv": "csv",
}


class ActivityQuery(BaseModel):
    """`?from=&to=&site=&by=&format=`: days of Paris, both included; the last twelve months unless told."""

    model_config = ConfigDict(extra="forbid")

    first: date | None = Field(None, alias="from")
    last: date | None = Field(None, alias="to", ge=date(1900, 1, 1))
    site: Identifier | None = None
    by: By | None = None
    format: Literal["json", "csv", "xlsx", "pdf"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value != ""}

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first and self.last and self.first > self.last:
            reason = "« from » doit précéder « to »"
            raise ValueError(reason)
        return self

    def period(self, today: date) -> tuple[date, date]:
        """First and last day. Raises Rejected if `from` lies after today and `to` is left out."""
        last = self.last or today
        first = self.first or last_twelve_months(last)[0]
        if first > last:
            raise Rejected("invalid", "« from » est dans le futur\u00a0: indiquez aussi « to ».", status=422)
        return first, last

    def wanted(self, accept: str) -> Literal["json", "csv"]:
        """The form of the answer: `format` first, then the Accept header. Raises Rejected (406)."""
        if self.format == "json" or self.format == "csv":  # noqa: PLR1714 - mypy narrows this, not `in`
            return self.format
        if self.format is None:
            for media in _by_preference(accept):
                if media in _MEDIA:
                    return "csv" if _MEDIA[media] == "csv" else "json"
        raise Rejected("not-acceptable", "Ce rapport existe en JSON et en CSV, pas dans ce format.", status=406)


def _by_preference(accept: str) -> list[str]:
    ranges = []
    for part in (accept or "*/*").lower().split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            ranges.append((float(quality), media))
        except ValueError:
            continue
    return [media for quality, media in sorted(ranges, key=lambda each: -each[0]) if quality > 0]


class Period(BaseModel):
    """Both days included."""

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    first: date = Field(alias="from")
    last: date = Field(alias="to")


class Filters(BaseModel):
    """What was asked, and the sites that were counted for it."""

    site: str | None
    by: By | None
    sites: list[str]


class Visits(BaseModel):
    """Visits, Hem's split of them (each visit is in exactly one class), SPIE visits, and needs told."""

    visits: int = 0
    emploi: int = 0
    complementaire: int = 0
    spie: int = 0
    needs: int = 0


class Row(Visits):
    """One line of a breakdown; `key` is null where the fact is not known."""

    key: str | None
    label: str


class Proposals(BaseModel):
    """What the rules proposed: to a first recipient of a category, or an answer at the desk; `unmet` found nobody."""

    total: int = 0
    by_category: dict[str, int] = {}
    desk_first: int = 0
    unmet: int = 0
    unmet_by_need: dict[str, int] = {}


class Overrides(BaseModel):
    """How often agents chose another partner than a rule of the table proposed: such a rule is to be looked at."""

    rule: str
    proposals: int = 0
    overridden: int = 0

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def rate(self) -> float | None:
        """The share of proposals overridden, between 0 and 1; null without any proposal."""
        return round(self.overridden / self.proposals, 4) if self.proposals else None


class Referrals(BaseModel):
    """Referrals sent in the period, by category of partner, and where they stand now.

    A bounce ("renvoi") is a referral that ended declined or expired: the person has to be told of another place.
    """

    sent: int = Field(0, description="Orientations envoyées dans la période.")
    by_category: dict[str, int] = Field({}, description="Les mêmes, par catégorie d’interlocuteur.")
    by_state: dict[str, int] = Field({}, description="Les mêmes, selon l’état où elles se trouvent aujourd’hui.")
    bounces: int = Field(0, description="Renvois : celles qui ont été déclinées ou ont expiré.")
    rerouted: int = Field(
        0, description="Renvois dont l’interlocuteur suivant a reçu la même histoire sans qu’on la redemande."
    )
    bounces_by_category: dict[str, int] = Field({}, description="Renvois, par catégorie de l’interlocuteur quitté.")
    bounces_by_need: dict[str, int] = Field({}, description="Renvois, par besoin.")


class Delay(BaseModel):
    """In days with one decimal; null where there is nothing to count. Percentiles are interpolated."""

    count: int = Field(0, description="Nombre de cas sur lesquels reposent les deux chiffres.")
    median: float | None = Field(None, description="Médiane, en jours : une moitié a attendu moins longtemps.")
    p90: float | None = Field(None, description="90e centile, en jours : neuf sur dix ont attendu moins longtemps.")


class Delays(BaseModel):
    """How long things took, read from the steps alone: those of referrals sent in the period, and of its visits."""

    sent_to_received: Delay = Field(
        Delay(), description="De l’envoi à la première réponse : accusé de réception, acceptation ou refus."
    )
    sent_to_accepted: Delay = Field(Delay(), description="De l’envoi à l’acceptation.")
    sent_to_decided_with_reminders: Delay = Field(
        Delay(), description="De l’envoi à l’acceptation ou au refus, pour les seules orientations relancées."
    )
    visit_to_appointment: Delay = Field(
        Delay(),
        description="Du jour de la visite au premier rendez-vous annoncé dans une réponse à l’une de ses orientations.",
    )


class StoryAnswers(BaseModel):
    """What partners said of the story. A referral counts once, by the last that was said of it."""

    sufficient: int = Field(0, description="Le récit suffisait : la personne n’a pas eu à se répéter.")
    insufficient: int = Field(0, description="Le récit ne suffisait pas.")
    silent: int = Field(0, description="Le partenaire a répondu à l’orientation sans le dire.")

    @computed_field(description="Orientations ayant reçu au moins une réponse : la somme des trois.")  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def answered(self) -> int:
        """Referrals that got at least one answer."""
        return self.sufficient + self.insufficient + self.silent

    @computed_field(description="Taux de réponse à la question, entre 0 et 1 ; null sans orientation répondue.")  # type: ignore[prop-decorator]
    @property
    def response_rate(self) -> float | None:
        """The share of them of which it was said whether the story was enough."""
        return round((self.sufficient + self.insufficient) / self.answered, 4) if self.answered else None


class Tellings(BaseModel):
    """Stories that were written down, and those among them that the person had told before."""

    stories: int = Field(0, description="Récits écrits lors d’une visite.")
    retold: int = Field(
        0,
        description="Récits racontés de nouveau : écrits alors que le dossier en avait déjà un, ou découverts en"
        " réunissant deux dossiers qui en avaient chacun un (comptés au jour et au site de la réunion, sauf si les"
        " dossiers ont été séparés depuis).",
    )


class StoryAnswersOf(StoryAnswers):
    """Of one category or site."""

    key: str
    label: str


class TellingsAt(Tellings):
    """At one site."""

    key: str
    label: str


class ToldOnce(BaseModel):
    """Whether what was told at the counter was enough, by those who got it; and how often it was told again.

    Referrals that a site sent in the period, and visits of the period. Those toward a site are in neither.
    """

    answers: StoryAnswers = Field(StoryAnswers(), description="Ce que les partenaires disent du récit reçu.")
    answers_by_category: list[StoryAnswersOf] = Field([], description="Les mêmes, par catégorie de partenaire.")
    answers_by_site: list[StoryAnswersOf] = Field([], description="Les mêmes, par site qui a envoyé l’orientation.")
    tellings: Tellings = Field(Tellings(), description="Récits écrits et racontés de nouveau.")
    tellings_by_site: list[TellingsAt] = Field([], description="Les mêmes, par site.")


class Totals(Visits):
    """Of the whole period. `by_outcome` counts needs."""

    by_outcome: dict[str, int]
    proposals: Proposals
    referrals: Referrals


class ActivityReport(BaseModel):
    """Exact figures for steering: not for publication as they are. `rows` is null without `by`.

    `overrides` has each rule that proposed something, the most often overridden first.
    """

    period: Period
    filters: Filters
    totals: Totals
    overrides: list[Overrides] = []
    delays: Delays = Field(Delays(), description="Délais constatés, en jours.")
    told_once: ToldOnce = Field(ToldOnce(), description="Dit une seule fois : la mesure et sa contre-mesure.")
    rows: list[Row] | None
