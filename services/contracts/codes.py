"""The field's codes, as they travel; their French labels; and what follows from codes alone.

Sources: Hem council deliberation of 18/12/2024, Avre Luce Noye charter of 24/10/2022 (art. 1 and 2),
and the ANCT's basket of operators. Standard library only: every domain module may import this.
"""

from collections.abc import Iterable
from enum import StrEnum


class Need(StrEnum):
    """What a visitor comes for; the first eight and the next six are the charter's (art. 2)."""

    DECLARER_REVENUS = "declarer-revenus"
    PERMIS_OU_CARTE_IDENTITE = "permis-ou-carte-identite"
    DEMANDER_UNE_AIDE = "demander-une-aide"
    CHERCHER_UN_EMPLOI = "chercher-un-emploi"
    REMBOURSER_SOINS = "rembourser-soins"
    PREPARER_RETRAITE = "preparer-retraite"
    LITIGE_OU_CONFLIT = "litige-ou-conflit"
    ATTENDRE_UN_ENFANT = "attendre-un-enfant"
    FREINS_MULTIPLES = "freins-multiples"
    ENDETTEMENT = "endettement"
    ACCOMPAGNEMENT_EMPLOI_FORMATION = "accompagnement-emploi-formation"
    LOGEMENT = "logement"
    JEUNE_SANS_EMPLOI_NI_FORMATION = "jeune-sans-emploi-ni-formation"
    HANDICAP_ET_EMPLOI = "handicap-et-emploi"
    DROITS_HANDICAP = "droits-handicap"
    RENOVATION_LOGEMENT = "renovation-logement"
    CHEQUE_ENERGIE = "cheque-energie"
    NUMERIQUE = "numerique"
    COURRIER_ET_BANQUE = "courrier-et-banque"
    ACCES_AUX_DROITS = "acces-aux-droits"
    AIDE_AUX_VICTIMES = "aide-aux-victimes"
    HEBERGEMENT_URGENCE = "hebergement-urgence"
    AUTRE = "autre"


class Obstacle(StrEnum):
    """What stands in the way, with `freins-multiples`."""

    MOBILITE = "mobilite"
    GARDE_ENFANT = "garde-enfant"
    SANTE = "sante"


class Public(StrEnum):
    """The target publics of the charter's article 1: declared by the person, never deduced."""

    RSA = "rsa"
    ASS = "ass"
    NEET = "neet"
    DEMANDEUR_EMPLOI_LONGUE_DUREE = "demandeur-emploi-longue-duree"
    DEMANDEUR_EMPLOI_TRES_LONGUE_DUREE = "demandeur-emploi-tres-longue-duree"
    RQTH = "rqth"
    PROTECTION_INTERNATIONALE = "protection-internationale"
    SORTANT_ASE = "sortant-ase"


class Category(StrEnum):
    """The kinds of recipient a person may agree to."""

    STATE = "state"
    DEPARTMENT = "department"
    OPERATOR = "operator"
    LOCAL = "local"
    SITE = "site"


class AgeBand(StrEnum):
    """Age bands, cut where the law cuts (16, 18, 21, 26, 30)."""

    UNDER_16 = "<16"
    FROM_16 = "16-17"
    FROM_18 = "18-20"
    FROM_21 = "21-25"
    FROM_26 = "26-29"
    FROM_30 = "30-54"
    FROM_55 = "55-64"
    FROM_65 = "65+"
    UNKNOWN = "unknown"


class Channel(StrEnum):
    """How the person met the site."""

    DESK = "desk"
    PHONE = "phone"
    APPOINTMENT = "appointment"
    OUTREACH = "outreach"
    WORKSHOP = "workshop"


class Outcome(StrEnum):
    """What became of a need at the desk; only `to-refer` can become a referral."""

    RESOLVED = "resolved"
    TO_REFER = "to-refer"
    TO_CONTINUE = "to-continue"
    DECLINED_BY_PERSON = "declined-by-person"


class Regime(StrEnum):
    """The social security regime that decides between CPAM or CNAF and MSA."""

    GENERAL = "general"
    MSA = "msa"


class Sex(StrEnum):
    """Counted, and never of influence on anything else."""

    F = "F"
    M = "M"


class Mode(StrEnum):
    """`live` visits may be referred; `history` is counted and never referred."""

    LIVE = "live"
    HISTORY = "history"


class VisitClass(StrEnum):
    """Hem's split of 2023: 7,623 visits about employment, 866 others."""

    EMPLOI = "emploi"
    COMPLEMENTAIRE = "complementaire"


class ReferralState(StrEnum):
    """Where a referral stands; which step may follow which is referral's own knowledge."""

    AWAITING_AGREEMENT = "awaiting-agreement"
    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    IN_PROGRESS = "in-progress"
    ON_HOLD = "on-hold"
    DECLINED = "declined"
    COMPLETED = "completed"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    ENTERED_IN_ERROR = "entered-in-error"


_S = ReferralState
# Sent, and something is left to do; then what the recipient's answers alone lead to: it was in contact, or is done.
WITH_PARTNER = frozenset({_S.SENT, _S.RECEIVED, _S.ACCEPTED, _S.IN_PROGRESS, _S.ON_HOLD})
BY_RECIPIENT = WITH_PARTNER - {_S.SENT} | {_S.DECLINED, _S.COMPLETED, _S.FAILED}


class DeclineReason(StrEnum):
    """Why a partner declines, or fails after having accepted; the sender always sees it."""

    PERSON_UNREACHABLE = "person-unreachable"
    PERSON_ABSENT = "person-absent"
    ALREADY_EMPLOYED = "already-employed"
    ALREADY_IN_TRAINING = "already-in-training"
    NOT_ELIGIBLE = "not-eligible"
    NOT_MOBILE = "not-mobile"
    NOT_INTERESTED = "not-interested"
    OBSTACLES_FIRST = "obstacles-first"
    NO_CAPACITY = "no-capacity"
    DUPLICATE = "duplicate"
    OUT_OF_TERRITORY = "out-of-territory"
    OUT_OF_REMIT = "out-of-remit"
    OTHER = "other"


class WithdrawReason(StrEnum):
    """Why a sender takes a referral back; `entered-in-error` says that there should never have been one."""

    PERSON = "person"
    SENDER = "sender"
    ENTERED_IN_ERROR = "entered-in-error"


class Waiting(StrEnum):
    """What a referral has waited for too long, when its partner's named contact is called in."""

    RECEPTION = "not-received"
    ANSWER = "not-answered"
    NEWS = "no-news"


class ReferralOutcome(StrEnum):
    """How a completed referral ended for the person."""

    HELPED = "helped"
    COULD_NOT_CONTACT = "could-not-contact"
    NOT_ELIGIBLE = "not-eligible"
    NO_CAPACITY = "no-capacity"
    COULD_NOT_HELP = "could-not-help"
    NO_LONGER_INTERESTED = "no-longer-interested"
    REFERRED_ELSEWHERE = "referred-elsewhere"


EMPLOYMENT_NEEDS = frozenset(
    {
        Need.CHERCHER_UN_EMPLOI,
        Need.ACCOMPAGNEMENT_EMPLOI_FORMATION,
        Need.JEUNE_SANS_EMPLOI_NI_FORMATION,
        Need.HANDICAP_ET_EMPLOI,
        Need.FREINS_MULTIPLES,
    }
)
SPIE_NEEDS = frozenset(
    {
        Need.FREINS_MULTIPLES,
        Need.ENDETTEMENT,
        Need.ACCOMPAGNEMENT_EMPLOI_FORMATION,
        Need.LOGEMENT,
        Need.JEUNE_SANS_EMPLOI_NI_FORMATION,
        Need.HANDICAP_ET_EMPLOI,
    }
)

# Health and disability (RGPD art. 9): these go to a partner only with the person's explicit agreement.
SENSITIVE_NEEDS = frozenset({Need.HANDICAP_ET_EMPLOI, Need.DROITS_HANDICAP})
SENSITIVE_PUBLICS = frozenset({Public.RQTH})
SENSITIVE_OBSTACLES = frozenset({Obstacle.SANTE})

NEED_LABELS = {
    Need.DECLARER_REVENUS: "Déclarer ses revenus",
    Need.PERMIS_OU_CARTE_IDENTITE: "Permis de conduire ou carte d’identité",
    Need.DEMANDER_UNE_AIDE: "Demander une aide (logement, famille, prime d’activité)",
    Need.CHERCHER_UN_EMPLOI: "Chercher un emploi",
    Need.REMBOURSER_SOINS: "Se faire rembourser ses soins",
    Need.PREPARER_RETRAITE: "Préparer sa retraite",
    Need.LITIGE_OU_CONFLIT: "Faire face à un litige ou à un conflit",
    Need.ATTENDRE_UN_ENFANT: "Attendre un enfant",
    Need.FREINS_MULTIPLES: "Plusieurs freins (mobilité, garde d’enfant, santé…)",
    Need.ENDETTEMENT: "Être endetté",
    Need.ACCOMPAGNEMENT_EMPLOI_FORMATION: "Être accompagné vers l’emploi ou la formation",
    Need.LOGEMENT: "Se loger ou garder son logement",
    Need.JEUNE_SANS_EMPLOI_NI_FORMATION: "Jeune sans emploi ni formation",
    Need.HANDICAP_ET_EMPLOI: "Travailler avec un handicap",
    Need.DROITS_HANDICAP: "Faire valoir ses droits liés au handicap",
    Need.RENOVATION_LOGEMENT: "Rénover son logement",
    Need.CHEQUE_ENERGIE: "Chèque énergie",
    Need.NUMERIQUE: "Être aidé avec le numérique",
    Need.COURRIER_ET_BANQUE: "Courrier et banque",
    Need.ACCES_AUX_DROITS: "Accéder à ses droits",
    Need.AIDE_AUX_VICTIMES: "Être aidé en tant que victime",
    Need.HEBERGEMENT_URGENCE: "Hébergement d’urgence",
    Need.AUTRE: "Autre besoin",
}
OBSTACLE_LABELS = {Obstacle.MOBILITE: "Mobilité", Obstacle.GARDE_ENFANT: "Garde d’enfant", Obstacle.SANTE: "Santé"}
PUBLIC_LABELS = {
    Public.RSA: "Bénéficiaire du RSA",
    Public.ASS: "Bénéficiaire de l’ASS",
    Public.NEET: "Jeune sans emploi ni formation",
    Public.DEMANDEUR_EMPLOI_LONGUE_DUREE: "Demandeur d’emploi de longue durée",
    Public.DEMANDEUR_EMPLOI_TRES_LONGUE_DUREE: "Demandeur d’emploi de très longue durée",
    Public.RQTH: "Travailleur handicapé (RQTH)",
    Public.PROTECTION_INTERNATIONALE: "Bénéficiaire d’une protection internationale",
    Public.SORTANT_ASE: "Sortant de l’aide sociale à l’enfance",
}
AGE_BAND_LABELS = {
    AgeBand.UNDER_16: "Moins de 16 ans",
    AgeBand.FROM_16: "16 à 17 ans",
    AgeBand.FROM_18: "18 à 20 ans",
    AgeBand.FROM_21: "21 à 25 ans",
    AgeBand.FROM_26: "26 à 29 ans",
    AgeBand.FROM_30: "30 à 54 ans",
    AgeBand.FROM_55: "55 à 64 ans",
    AgeBand.FROM_65: "65 ans et plus",
    AgeBand.UNKNOWN: "Âge inconnu",
}
CATEGORY_LABELS = {
    Category.STATE: "État",
    Category.DEPARTMENT: "Département",
    Category.OPERATOR: "Opérateur",
    Category.LOCAL: "Partenaire local",
    Category.SITE: "France services",
}
REFERRAL_STATE_LABELS = {
    ReferralState.AWAITING_AGREEMENT: "En attente de l’accord de la personne",
    ReferralState.SENT: "Envoyée",
    ReferralState.RECEIVED: "Reçue",
    ReferralState.ACCEPTED: "Acceptée",
    ReferralState.IN_PROGRESS: "En cours",
    ReferralState.ON_HOLD: "En pause",
    ReferralState.DECLINED: "Déclinée",
    ReferralState.COMPLETED: "Terminée",
    ReferralState.FAILED: "Interrompue",
    ReferralState.WITHDRAWN: "Retirée",
    ReferralState.EXPIRED: "Expirée",
    ReferralState.ENTERED_IN_ERROR: "Saisie par erreur",
}
DECLINE_REASON_LABELS = {
    DeclineReason.PERSON_UNREACHABLE: "personne injoignable",
    DeclineReason.PERSON_ABSENT: "personne absente",
    DeclineReason.ALREADY_EMPLOYED: "déjà en emploi",
    DeclineReason.ALREADY_IN_TRAINING: "déjà en formation",
    DeclineReason.NOT_ELIGIBLE: "conditions non remplies",
    DeclineReason.NOT_MOBILE: "pas de moyen de se déplacer",
    DeclineReason.NOT_INTERESTED: "pas intéressée",
    DeclineReason.OBSTACLES_FIRST: "d’autres freins à lever d’abord",
    DeclineReason.NO_CAPACITY: "plus de place",
    DeclineReason.DUPLICATE: "demande déjà reçue",
    DeclineReason.OUT_OF_TERRITORY: "hors du territoire",
    DeclineReason.OUT_OF_REMIT: "hors des missions du partenaire",
    DeclineReason.OTHER: "autre motif",
}
REFERRAL_OUTCOME_LABELS = {
    ReferralOutcome.HELPED: "personne aidée",
    ReferralOutcome.COULD_NOT_CONTACT: "personne injoignable",
    ReferralOutcome.NOT_ELIGIBLE: "conditions non remplies",
    ReferralOutcome.NO_CAPACITY: "plus de place",
    ReferralOutcome.COULD_NOT_HELP: "pas d’aide possible",
    ReferralOutcome.NO_LONGER_INTERESTED: "personne plus intéressée",
    ReferralOutcome.REFERRED_ELSEWHERE: "orientée vers un autre service",
}
WITHDRAW_REASON_LABELS = {
    WithdrawReason.PERSON: "à la demande de la personne",
    WithdrawReason.SENDER: "à l’initiative de l’expéditeur",
    WithdrawReason.ENTERED_IN_ERROR: "saisie par erreur",
}
WAITING_LABELS = {
    Waiting.RECEPTION: "pas d’accusé de réception",
    Waiting.ANSWER: "pas de réponse",
    Waiting.NEWS: "pas de nouvelles",
}
VISIT_CLASS_LABELS = {VisitClass.EMPLOI: "Emploi", VisitClass.COMPLEMENTAIRE: "Services complémentaires"}


def visit_class(needs: Iterable[Need]) -> VisitClass:
    """Hem's split: one employment need makes the whole visit `emploi`."""
    return VisitClass.EMPLOI if EMPLOYMENT_NEEDS.intersection(needs) else VisitClass.COMPLEMENTAIRE


def concerns_spie(needs: Iterable[Need], publics: Iterable[Public]) -> bool:
    """Whether a visit to a site whose charter is in force is SPIE (charter, art. 1 and 2)."""
    codes = frozenset(needs)
    return bool(SPIE_NEEDS & codes) or (bool(frozenset(publics)) and bool(EMPLOYMENT_NEEDS & codes))


# Communes of Guadeloupe until 2007 (organic law no. 2007-223), and collectivities of their own since.
_LEFT_GUADELOUPE = {"97123": "977", "97127": "978"}


def department_of(commune: str) -> str:
    """The département (INSEE code) of a commune's INSEE code: `80570` → `80`, `2A004` → `2A`, `97411` → `974`.

    Right for every commune of today; what a merged one was part of before, `services.network.communes` knows.
    """
    return _LEFT_GUADELOUPE.get(commune, commune[:3]) if commune.startswith(("97", "98")) else commune[:2]
