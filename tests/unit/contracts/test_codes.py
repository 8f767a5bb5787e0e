"""What follows from codes alone: the département of a commune, Hem's two classes, what concerns the SPIE."""

import pytest

from services.contracts import codes
from services.contracts.codes import Category, Need, Public, ReferralState, VisitClass


@pytest.mark.parametrize(
    ("commune", "department"),
    [
        ("80570", "80"),  # Moreuil
        ("59299", "59"),  # Hem
        ("75056", "75"),  # Paris
        ("01053", "01"),
        ("2A004", "2A"),  # Ajaccio
        ("2B033", "2B"),  # Bastia
        ("97411", "974"),  # Saint-Denis de La Réunion
        ("97105", "971"),  # Basse-Terre
        ("97502", "975"),  # Saint-Pierre
        ("98818", "988"),  # Nouméa
        ("97123", "977"),  # Saint-Barthélemy, by its code of when it was in Guadeloupe
        ("97127", "978"),  # Saint-Martin, likewise
    ],
)
def test_the_departement_of_a_commune(commune: str, department: str) -> None:
    """Two characters, three overseas; Corsica keeps its letter."""
    assert codes.department_of(commune) == department


@pytest.mark.parametrize("need", sorted(codes.EMPLOYMENT_NEEDS))
def test_one_employment_need_makes_the_visit_one_of_employment(need: Need) -> None:
    """Hem counted one class per visit: 7,623 of employment and 866 others."""
    assert codes.visit_class([need]) is VisitClass.EMPLOI
    assert codes.visit_class([Need.PERMIS_OU_CARTE_IDENTITE, need, Need.NUMERIQUE]) is VisitClass.EMPLOI


def test_any_other_visit_is_complementary() -> None:
    """Housing and debt are the SPIE's, and yet no employment."""
    others = set(Need) - codes.EMPLOYMENT_NEEDS
    assert {Need.LOGEMENT, Need.ENDETTEMENT, Need.DROITS_HANDICAP} <= others
    assert codes.visit_class(others) is VisitClass.COMPLEMENTAIRE


@pytest.mark.parametrize("need", Need)
def test_the_six_spie_needs_concern_the_spie_by_themselves(need: Need) -> None:
    """Whoever the person is."""
    assert codes.concerns_spie([need], []) is (need in codes.SPIE_NEEDS)


@pytest.mark.parametrize("public", Public)
def test_a_target_public_looking_for_work_concerns_the_spie(public: Public) -> None:
    """The public alone does not: a person on RSA who renews a driving licence is no SPIE visit."""
    assert codes.concerns_spie([Need.CHERCHER_UN_EMPLOI], [public])
    assert not codes.concerns_spie([Need.PERMIS_OU_CARTE_IDENTITE], [public])
    assert not codes.concerns_spie([], [public])


def test_the_charter_has_six_spie_needs() -> None:
    """Article 2 of the charter; all but debt and housing are about employment."""
    assert len(codes.SPIE_NEEDS) == 6
    beside_employment = codes.SPIE_NEEDS - codes.EMPLOYMENT_NEEDS
    assert beside_employment == {Need.ENDETTEMENT, Need.LOGEMENT}


def test_everything_shown_to_people_has_a_label() -> None:
    """A code without a French label would show as itself."""
    assert set(codes.NEED_LABELS) == set(Need)
    assert set(codes.CATEGORY_LABELS) == set(Category)
    assert set(codes.REFERRAL_STATE_LABELS) == set(ReferralState)
    assert set(codes.VISIT_CLASS_LABELS) == set(VisitClass)
