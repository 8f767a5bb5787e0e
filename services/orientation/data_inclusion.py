"""The directory in the words of others: data·inclusion v1, the French schema of insertion offers (gip-inclusion)."""

from datetime import date

from data_inclusion.schema.v1 import ReseauPorteur, Structure

from services.orientation.official_list import ListedSite

_SOURCE = "france-services"
_NAME_LENGTH = 150


def structure(site: ListedSite, listed_on: date) -> Structure:
    """A site as a structure, as of the list of that date. Raises pydantic's ValidationError if it cannot be one."""
    return Structure(
        source=_SOURCE,
        id=f"{_SOURCE}--{site.id}",
        nom=site.name[:_NAME_LENGTH].rstrip("."),
        date_maj=listed_on,
        commune=site.town or None,
        code_postal=site.postcode,
        code_insee=site.commune,
        adresse=site.address,
        complement_adresse=site.complement,
        longitude=site.longitude,
        latitude=site.latitude,
        telephone=site.phone,
        courriel=site.emails[0] if site.emails else None,
        horaires_accueil=site.opening_hours,
        reseaux_porteurs={ReseauPorteur.FRANCE_SERVICE},
    )
