"""What the sample visits are made of: names, stories, and how often each need comes."""

from services.contracts.codes import AgeBand, Channel, Need, Outcome, Public, Sex

# Fixed public holidays, (month, day): closed. Easter's are left open; nobody will count the demo's eggs.
HOLIDAYS = frozenset({(1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25)})

# Hem counted 7,623 visits about employment among 8,489 in 2023.
HEM_EMPLOYMENT = 7623 / 8489
# fmt: off
EMPLOYMENT_MIX: dict[Need, int] = {
    Need.CHERCHER_UN_EMPLOI: 50, Need.ACCOMPAGNEMENT_EMPLOI_FORMATION: 25, Need.JEUNE_SANS_EMPLOI_NI_FORMATION: 12,
    Need.FREINS_MULTIPLES: 8, Need.HANDICAP_ET_EMPLOI: 5,
}
OTHER_MIX: dict[Need, int] = {
    Need.PERMIS_OU_CARTE_IDENTITE: 16, Need.DEMANDER_UNE_AIDE: 16, Need.DECLARER_REVENUS: 14,
    Need.REMBOURSER_SOINS: 11, Need.PREPARER_RETRAITE: 8, Need.LOGEMENT: 7, Need.NUMERIQUE: 6,
    Need.LITIGE_OU_CONFLIT: 4, Need.ENDETTEMENT: 4, Need.ATTENDRE_UN_ENFANT: 3, Need.DROITS_HANDICAP: 3,
    Need.CHEQUE_ENERGIE: 3, Need.COURRIER_ET_BANQUE: 3, Need.ACCES_AUX_DROITS: 2, Need.RENOVATION_LOGEMENT: 2,
    Need.AIDE_AUX_VICTIMES: 1, Need.HEBERGEMENT_URGENCE: 1, Need.AUTRE: 1,
}
OPERATORS: dict[Need, str] = {
    Need.DECLARER_REVENUS: "dgfip", Need.PERMIS_OU_CARTE_IDENTITE: "france-titres", Need.DEMANDER_UNE_AIDE: "cnaf",
    Need.CHERCHER_UN_EMPLOI: "france-travail", Need.ACCOMPAGNEMENT_EMPLOI_FORMATION: "france-travail",
    Need.REMBOURSER_SOINS: "cpam", Need.PREPARER_RETRAITE: "carsat", Need.LITIGE_OU_CONFLIT: "point-justice",
    Need.ACCES_AUX_DROITS: "point-justice", Need.ATTENDRE_UN_ENFANT: "cpam", Need.RENOVATION_LOGEMENT: "france-renov",
    Need.CHEQUE_ENERGIE: "cheque-energie", Need.COURRIER_ET_BANQUE: "la-poste",
}
# Four needs in five end at the desk, once the visits of `every_line` have taken the place of some.
OUTCOMES = {Outcome.RESOLVED: 85, Outcome.TO_REFER: 9, Outcome.TO_CONTINUE: 3, Outcome.DECLINED_BY_PERSON: 3}
CHANNELS = {
    Channel.DESK: 70, Channel.APPOINTMENT: 14, Channel.PHONE: 11, Channel.WORKSHOP: 3, Channel.OUTREACH: 2,
}
AGES = {
    AgeBand.FROM_16: (16, 17), AgeBand.FROM_18: (18, 20), AgeBand.FROM_21: (21, 25), AgeBand.FROM_26: (26, 29),
    AgeBand.FROM_30: (30, 54), AgeBand.FROM_55: (55, 64), AgeBand.FROM_65: (65, 84),
}
ALL_AGES: dict[AgeBand, int] = {
    AgeBand.FROM_16: 2, AgeBand.FROM_18: 7, AgeBand.FROM_21: 12, AgeBand.FROM_26: 12, AgeBand.FROM_30: 42,
    AgeBand.FROM_55: 15, AgeBand.FROM_65: 10,
}
NEED_AGES: dict[Need, dict[AgeBand, int]] = {
    Need.JEUNE_SANS_EMPLOI_NI_FORMATION: {AgeBand.FROM_16: 3, AgeBand.FROM_18: 5, AgeBand.FROM_21: 4},
    Need.PREPARER_RETRAITE: {AgeBand.FROM_55: 3, AgeBand.FROM_65: 1},
    Need.ATTENDRE_UN_ENFANT: {AgeBand.FROM_18: 1, AgeBand.FROM_21: 3, AgeBand.FROM_26: 3, AgeBand.FROM_30: 3},
}
EMPLOYMENT_AGES: dict[AgeBand, int] = {band: each for band, each in ALL_AGES.items() if band is not AgeBand.FROM_65}
NEED_PUBLIC = {Need.JEUNE_SANS_EMPLOI_NI_FORMATION: Public.NEET, Need.HANDICAP_ET_EMPLOI: Public.RQTH}

FAMILY_NAMES = (
    "Lefèvre", "D’Hondt", "Dupont-Aubry", "de La Motte", "Ben Amar", "N’Diaye", "Vandenbroucke", "Thuillier",
    "L’Hermitte", "Carpentier", "Delattre", "Çelik", "Nguyễn", "Lemaître", "O’Brien", "Boulogne", "Saint-Aubin",
    "El Mansouri", "Wójcik", "du Plessis", "Caudron", "Hénin", "Traoré", "Bœuf",
)
GIVEN_NAMES = {
    Sex.F: ("Noémie", "Marie-Ève", "Fatoumata", "Léa", "Anne-Sophie", "Zoë", "Jacqueline", "Inès", "Maëlys", "Ewa"),
    Sex.M: ("Jean-Noël", "Loïc", "Karim", "Théo", "Gaël", "François-Xavier", "Mamadou", "Émile", "Enzo", "Jérôme"),
}
# fmt: on
STORIES = {
    Need.CHERCHER_UN_EMPLOI: "a perdu son poste en intérim au printemps, n’ose plus envoyer de candidatures et ne "
    "sait pas à qui s’adresser",
    Need.ACCOMPAGNEMENT_EMPLOI_FORMATION: "voudrait se former aux métiers de l’aide à domicile, mais aucune formation "
    "n’a lieu près de son domicile",
    Need.JEUNE_SANS_EMPLOI_NI_FORMATION: "a quitté le lycée professionnel avant l’examen, vit chez ses parents et "
    "cherche un apprentissage",
    Need.HANDICAP_ET_EMPLOI: "ne peut plus porter de charges et cherche un poste adapté",
    Need.FREINS_MULTIPLES: "n’a pas de voiture, et personne pour garder les enfants tôt le matin\u00a0; a déjà refusé "
    "deux postes pour cela",
    Need.LOGEMENT: "a reçu un congé de son propriétaire et n’a rien trouvé malgré plusieurs demandes",
    Need.ENDETTEMENT: "n’ouvre plus le courrier de la banque depuis la séparation du couple",
    Need.DROITS_HANDICAP: "attend une réponse à sa demande d’allocation et n’a plus de nouvelles",
}
ANY_STORY = "a déjà fait le tour de plusieurs guichets et souhaite ne pas tout raconter encore une fois"
NOTES = (
    "Compte en ligne créé avec la personne.",
    "Dossier relu ensemble, pièces numérisées.",
    "Revient avec le justificatif qui manque.",
    "Courrier expliqué, réponse rédigée sur place.",
    "Préfère un appel l’après-midi.",
)
