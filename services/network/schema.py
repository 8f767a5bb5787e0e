"""What a network file may say: the models, field by field, and the `Network` that several files make together."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from services.contracts.codes import AgeBand, Category, Need, Obstacle, Public, department_of
from services.contracts.intake import Commune, Department, Identifier
from services.network.advice import ContactSheet, Information, Journey
from services.network.vocabulary import (
    Covers,
    EmailAddress,
    FileTable,
    NeedOrGroup,
    Text,
    WebhookAddress,
    shape,
    spelt_out,
)


def _refuse_unknown_age(ages: frozenset[AgeBand]) -> None:
    if AgeBand.UNKNOWN in ages:
        reason = "un âge inconnu ne peut pas être une condition"
        raise ValueError(reason)


class Header(FileTable):
    """`[network]`: who wrote the file. `rules_version` is required where the file has lines.

    `local_kinds` are kinds of partner that the lines name although only other, local files have such partners;
    any other kind that no partner has is taken for a misspelling.
    """

    id: Identifier
    name: Text
    rules_version: Text | None = None
    local_kinds: frozenset[Identifier] = frozenset()


class Charter(FileTable):
    """`[[charters]]`: a SPIE charter (Avre Luce Noye charter, art. 1 and 4).

    `ended` is the last day of a charter to which notice was given; `territory` the communes (INSEE) it speaks of;
    `department` the Département that signed it. The length of a renewal is not in the documents: 12 months here.
    """

    id: Identifier
    name: Text
    parties: tuple[Text, ...] = Field(min_length=1)
    sites: tuple[Identifier, ...] = Field(min_length=1)
    department: Department
    territory: tuple[Commune, ...] = ()
    signed: date
    ends: date
    renewal_months: Annotated[int, Field(ge=1)] = 12
    ended: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends < self.signed or (self.ended and self.ended < self.signed):
            reason = "la charte se termine avant sa signature"
            raise ValueError(reason)
        return self

    def in_force(self, day: date) -> bool:
        """Tell if it holds: from the signature, renewed tacitly, until the last day (`ended`) that a notice set."""
        return self.signed <= day and (self.ended is None or day <= self.ended)


class Site(FileTable):
    """`[[sites]]`: a counter. `commune` is its INSEE code; `example` says that the address is made up."""

    id: Identifier
    name: Text
    commune: Commune
    label: Literal["requested", "granted", "withdrawn"]
    address: Text | None = None
    example: bool = False
    quarters: tuple[Text, ...] = ()

    @property
    def department(self) -> str:
        """The site's département (INSEE code)."""
        return department_of(self.commune)


class Clocks(FileTable):
    """`clocks = { … }` of a partner: days until silence is overdue, reminded, escalated, ended.

    `reception` and `stalled` are business days of its département; the others calendar days since the sending. A
    reminder comes again at its rhythm until the end.
    """

    reception: Annotated[int, Field(ge=1, le=30)] = 3
    reminder: Annotated[int, Field(ge=1, le=365)] = 10
    escalation: Annotated[int, Field(ge=1, le=365)] = 20
    expiry: Annotated[int, Field(ge=2, le=365)] = 30
    stalled: Annotated[int, Field(ge=1, le=120)] = 15

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.reminder < self.expiry or not self.escalation < self.expiry:
            reason = "`reminder` et `escalation` viennent avant `expiry` : après, il n’y a plus personne à relancer"
            raise ValueError(reason)
        return self


class NamedContact(FileTable):
    """`contact = { … }` of a partner: the person who is called in when its referrals are left without an answer."""

    name: Text
    role: Text | None = None
    phone: Text | None = None
    email: EmailAddress | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.phone and not self.email:
            reason = "il faut `phone` ou `email` : sinon, personne ne peut joindre ce contact"
            raise ValueError(reason)
        return self


class Partner(FileTable):
    """`[[partners]]`: whom a person may be referred to.

    Lines name partners by `kind`. `covers` is "all" or départements and communes (INSEE codes); `basket_from` and
    `basket_until` (both included) are when an operator belongs to the France services basket. `basis` is what lets
    data go there: a public mission with the right to object, or the person's agreement (RGPD, art. 6). A partner that
    `reveals_health` receives nobody but for a disability or an illness: being referred there tells it (art. 9).
    `by_choice` says that no line names the kind, on purpose: only an agent's own choice leads there. `contact` is who
    is called in about referrals without an answer; `notify` are the addresses that are told by mail that some wait.
    """

    id: Identifier
    kind: Identifier
    category: Category
    name: Text
    covers: Covers
    basis: Literal["mission", "agreement"]
    subscription: Literal["amqp", "webhook", "none"] = "amqp"
    webhook: WebhookAddress | None = None
    basket_from: date | None = None
    basket_until: date | None = None
    reveals_health: bool = False
    by_choice: bool = False
    clocks: Clocks = Clocks()
    contact: NamedContact | None = None
    notify: tuple[EmailAddress, ...] = ()

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.id in list(Category):
            reason = f"« {self.id} » est une catégorie : un accord ne saurait plus lequel des deux il désigne"
            raise ValueError(reason)
        if (self.subscription == "webhook") != bool(self.webhook):
            reason = '`subscription = "webhook"` et l’adresse `webhook` vont ensemble'
            raise ValueError(reason)
        if self.basket_from and self.basket_until and self.basket_until < self.basket_from:
            reason = "le panier se termine avant de commencer"
            raise ValueError(reason)
        return self

    def in_basket(self, day: date) -> bool:
        """Tell if it may be addressed on that day."""
        return (self.basket_from is None or self.basket_from <= day) and (
            self.basket_until is None or day <= self.basket_until
        )


class Step(FileTable):
    """A recipient with conditions of its own: skipped unless they hold."""

    kind: Identifier
    ages: frozenset[AgeBand] = frozenset()
    france_travail_registered: bool | None = None

    @model_validator(mode="after")
    def _known_ages(self) -> Self:
        _refuse_unknown_age(self.ages)
        return self


KindOrStep = Annotated[
    Annotated[Identifier, Tag("word")] | Annotated[Step, Tag("structure")],
    Discriminator(shape),
]
Fallbacks = Annotated[tuple[KindOrStep, ...], Field(min_length=1)]


class Line(FileTable):
    """`[[lines]]`: one line of the routing table. The first line whose conditions all hold gives the recipients.

    Conditions: `needs` (codes, or the group `employment`); any of `publics`, which a need of `or_needs` replaces;
    any of `ages`; exactly these `obstacles` (an empty list: none was said); `charter`: the site's charter is in
    force; `resident`: and the person lives in its département. Absent means "whatever".

    Recipients: a list of referrals ("and"), each a list of kinds ("then"). `msa` is the kind that replaces them all
    for a person of the farm workers' regime. `desk_first` lines have none: `reason` tells the agent what to do.
    On an `urgent` one even the agent's own choice of a partner sends nothing, since a referral would be waited for.
    `journey` is the id of the typical journey that begins here.
    """

    id: Identifier
    needs: tuple[NeedOrGroup, ...] = Field(min_length=1)
    publics: frozenset[Public] = frozenset()
    or_needs: frozenset[Need] = frozenset()
    ages: frozenset[AgeBand] = frozenset()
    obstacles: frozenset[Obstacle] | None = None
    charter: bool = False
    resident: bool = False
    recipients: tuple[Fallbacks, ...] = ()
    msa: Identifier | None = None
    desk_first: bool = False
    urgent: bool = False
    journey: Identifier | None = None
    reason: Text
    source: Text

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _refuse_unknown_age(self.ages)
        for wrong, reason in (
            (self.desk_first == bool(self.recipients), "il faut soit `recipients`, soit `desk_first = true`"),
            (self.urgent and not self.desk_first, "`urgent` ne va qu'avec `desk_first`"),
            (self.msa and not self.recipients, "`msa` remplace des destinataires : il n'y en a pas"),
            (self.resident and not self.charter, "`resident` ne va qu'avec `charter`"),
            (self.or_needs and not self.publics, "`or_needs` ne va qu'avec `publics`"),
            (self.or_needs - self.all_needs, "`or_needs` doit faire partie de `needs`"),
        ):
            if wrong:
                raise ValueError(reason)
        return self

    @property
    def all_needs(self) -> frozenset[Need]:
        """The needs with groups spelt out."""
        return spelt_out(self.needs)

    @property
    def steps(self) -> tuple[tuple[Step, ...], ...]:
        """The recipients, each as a `Step`."""
        return tuple(
            tuple(step if isinstance(step, Step) else Step(kind=step) for step in group) for group in self.recipients
        )


class NetworkFile(FileTable):
    """One TOML file."""

    network: Header
    charters: tuple[Charter, ...] = ()
    sites: tuple[Site, ...] = ()
    partners: tuple[Partner, ...] = ()
    contact_sheets: tuple[ContactSheet, ...] = ()
    information: tuple[Information, ...] = ()
    journeys: tuple[Journey, ...] = ()
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Network:
    """All files together, checked. `rules_version` is None where no file has lines."""

    rules_version: str | None
    charters: tuple[Charter, ...]
    sites: tuple[Site, ...]
    partners: tuple[Partner, ...]
    contact_sheets: tuple[ContactSheet, ...]
    lines: tuple[Line, ...]
    information: tuple[Information, ...] = ()
    journeys: tuple[Journey, ...] = ()

    @cached_property
    def _sites(self) -> dict[str, Site]:
        return {site.id: site for site in self.sites}

    @cached_property
    def _partners(self) -> dict[str, Partner]:
        return {partner.id: partner for partner in self.partners}

    def site(self, site_id: str) -> Site | None:
        """Look the site up; None if no file declares it."""
        return self._sites.get(site_id)

    def partner(self, partner_id: str) -> Partner | None:
        """Look the partner up; None if no file declares it."""
        return self._partners.get(partner_id)

    def journey(self, reference: str) -> Journey | None:
        """Look the typical journey up by `id@version`; None if no file has this one (any more)."""
        return next((each for each in self.journeys if each.reference == reference), None)

    def charter_in_force(self, site_id: str, day: date) -> Charter | None:
        """Find the charter that the site belongs to on that day: SPIE rules are on where there is one."""
        return next((each for each in self.charters if site_id in each.sites and each.in_force(day)), None)

    @staticmethod
    def json_schema() -> dict[str, Any]:
        """Describe one network file as a JSON Schema."""
        return NetworkFile.model_json_schema()
