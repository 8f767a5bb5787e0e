"""One visit for each line of the routing table: chance alone would leave some of them out of the demonstration."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.contracts.codes import AgeBand, Category, Need, Obstacle, Public, Sex


@dataclass(frozen=True)
class Situation:
    """Somebody from around the site comes with one need to refer.

    `agreed` is what they agree to, if not left to chance: so that every kind of recipient gets a referral, and one has
    to wait. Who is not `named` gets an answer at the desk, and has no reason to give a name. `story` replaces the usual
    one.
    """

    site: str
    need: Need
    publics: Sequence[Public] = ()
    age_band: AgeBand = AgeBand.FROM_30
    obstacles: Sequence[Obstacle] = ()
    registered: bool | None = None
    sex: Sex | None = None
    agreed: Sequence[Category] | None = None
    named: bool = True
    story: str | None = None


# fmt: off
_EMPLOYMENT = (
    Situation(
        "fs-roye", Need.CHERCHER_UN_EMPLOI, (Public.SORTANT_ASE,), AgeBand.FROM_18,
        story="a quitté le foyer à sa majorité, dort chez des amis et cherche un premier emploi",
    ),
    Situation("fs-moreuil", Need.ACCOMPAGNEMENT_EMPLOI_FORMATION, (Public.RSA,)),
    Situation("fs-roye", Need.JEUNE_SANS_EMPLOI_NI_FORMATION, (Public.NEET,), AgeBand.FROM_18),
    Situation("fs-moreuil", Need.HANDICAP_ET_EMPLOI, (Public.RQTH,)),
    Situation("hem", Need.CHERCHER_UN_EMPLOI, (Public.PROTECTION_INTERNATIONALE,), agreed=(Category.STATE,)),
    Situation("hem", Need.CHERCHER_UN_EMPLOI, (Public.DEMANDEUR_EMPLOI_LONGUE_DUREE,), registered=True),
    Situation("hem", Need.ACCOMPAGNEMENT_EMPLOI_FORMATION, (Public.ASS,), AgeBand.FROM_55, registered=True),
    Situation(
        "fs-moreuil", Need.FREINS_MULTIPLES, obstacles=(Obstacle.MOBILITE, Obstacle.GARDE_ENFANT),
        agreed=(Category.DEPARTMENT,),
    ),
    Situation(
        "hem", Need.FREINS_MULTIPLES, obstacles=(Obstacle.MOBILITE,), registered=True,
        story="n’a pas le permis et a dû refuser une mission qui commence avant le premier bus",
    ),
    Situation(
        "hem", Need.FREINS_MULTIPLES, obstacles=(Obstacle.GARDE_ENFANT,),
        story="n’a personne pour garder ses jumeaux avant l’école et a dû refuser un poste du matin",
    ),
    Situation(
        "hem", Need.FREINS_MULTIPLES, obstacles=(Obstacle.SANTE,),
        story="n’a plus de médecin traitant et remet ses soins, ce qui retarde son retour au travail",
    ),
    Situation(
        "hem", Need.FREINS_MULTIPLES, obstacles=(Obstacle.MOBILITE, Obstacle.SANTE),
        story="se fait soigner à l’autre bout de la métropole et n’a ni voiture ni permis",
    ),
    Situation("fs-roye", Need.CHERCHER_UN_EMPLOI, age_band=AgeBand.UNDER_16, named=False),
    Situation("hem", Need.CHERCHER_UN_EMPLOI, registered=True),
)
_OTHERS = (
    Situation("fs-moreuil", Need.HEBERGEMENT_URGENCE, named=False),
    Situation("fs-roye", Need.DROITS_HANDICAP),
    Situation("fs-moreuil", Need.LOGEMENT, agreed=()),
    Situation("fs-roye", Need.RENOVATION_LOGEMENT),
    Situation("fs-roye", Need.ENDETTEMENT, agreed=(Category.LOCAL,)),
    Situation("fs-moreuil", Need.CHEQUE_ENERGIE),
    Situation("fs-moreuil", Need.NUMERIQUE, age_band=AgeBand.FROM_65, named=False),
    Situation("hem", Need.AIDE_AUX_VICTIMES),
    Situation("fs-roye", Need.LITIGE_OU_CONFLIT),
    Situation("fs-moreuil", Need.PERMIS_OU_CARTE_IDENTITE),
    Situation("fs-roye", Need.DECLARER_REVENUS),
    Situation("fs-moreuil", Need.PREPARER_RETRAITE, age_band=AgeBand.FROM_55),
    Situation("fs-roye", Need.DEMANDER_UNE_AIDE, agreed=(Category.OPERATOR,)),
    Situation("fs-moreuil", Need.ATTENDRE_UN_ENFANT, age_band=AgeBand.FROM_26, sex=Sex.F),
    Situation("fs-roye", Need.REMBOURSER_SOINS),
    Situation("fs-moreuil", Need.COURRIER_ET_BANQUE),
    Situation("fs-roye", Need.AUTRE, named=False),
)
# fmt: on
EVERY_LINE = (*_EMPLOYMENT, *_OTHERS)
