"""The official list of France services sites (ANCT, Licence Ouverte 2.0), read row by row with its real quirks.

A row that can be put right is, and each such change is told; a row that cannot is refused, and spoils no other.
Columns as of the list of 01/08/2024: id_fs, insee_dep, lib_fs, adresse, complement_adresse, insee_com, code_postal,
lib_com, latitude, longitude, mail, telephone, h_lundi … h_samedi, prise_rdv, commentaire, type_fs, format_fs,
groupe_fs, labellisation_fs.
"""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import chain, groupby

from services.contracts.codes import department_of
from services.network import communes
from services.orientation.directory.row_files import separator

DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi")
_OSM_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa")
_REQUIRED = frozenset(
    {"id_fs", "insee_dep", "lib_fs", "adresse", "insee_com", "code_postal", "labellisation_fs"}
    | {f"h_{day}" for day in DAYS}
)
_MAIL = re.compile(r"[^\s@;,/]+@[^\s@;,/]+\.[a-zA-Z]{2,}")
_RANGE = re.compile(r"(\d{2}:\d{2}) ?- ?(\d{2}:\d{2})")
_LABELLED = re.compile(r"Espace labellisé (\d{2})/(\d{2})/(\d{4})")
# Overseas and mainland: no site lies outside.
_LATITUDES, _LONGITUDES = (-50.0, 52.0), (-180.0, 180.0)

# How numbers begin overseas, and those places' own country codes (ARCEP's numbering plan).
_OVERSEAS = {
    **dict.fromkeys(("0262", "0263", "0269", "0639", "0692", "0693"), "+262"),
    **dict.fromkeys(("0590", "0690", "0691"), "+590"),
    **dict.fromkeys(("0594", "0694"), "+594"),
    **dict.fromkeys(("0596", "0696", "0697"), "+596"),
    "0508": "+508",
}

Range = tuple[str, str]


class NotTheList(Exception):
    """The file is no list of sites; says why."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What was changed in a row, or why it was refused, in French. `line` is the line of the file, from 1."""

    line: int
    site: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class ListedSite:
    """A site as the list has it. `commune` is a current INSEE code or an arrondissement's; times are "HH:MM"."""

    id: str
    name: str
    address: str
    complement: str | None
    commune: str
    department: str
    postcode: str
    town: str
    latitude: float | None
    longitude: float | None
    emails: tuple[str, ...]
    phone: str | None
    hours: tuple[tuple[Range, ...], ...]
    by_appointment: bool
    comment: str | None
    branch: bool
    format: str
    group: str | None
    labelled_on: date

    @property
    def opening_hours(self) -> str | None:
        """The hours as OpenStreetMap writes them: `Mo-We 09:00-12:00,14:00-17:00; Sa 09:00-12:00`."""
        days = [(place, ",".join(f"{start}-{end}" for start, end in ranges)) for place, ranges in enumerate(self.hours)]
        spelt = []
        for ranges, group in groupby(days, key=lambda day: day[1]):
            first, *_, last = [place for place, _ in group] * 2
            if ranges:
                span = _OSM_DAYS[first] if first == last else f"{_OSM_DAYS[first]}-{_OSM_DAYS[last]}"
                spelt.append(f"{span} {ranges}")
        return "; ".join(spelt) or None


@dataclass(slots=True)
class Reading:
    """What a file held."""

    sites: list[ListedSite] = field(default_factory=list)
    adapted: list[Remark] = field(default_factory=list)
    refused: list[Remark] = field(default_factory=list)


def read(lines: Iterable[str]) -> Reading:
    """Read the list, its cells separated by commas or semicolons. Raises NotTheList when its columns are not there."""
    rest = iter(lines)
    head = next(rest, "")
    rows = csv.DictReader(chain([head], rest), delimiter=separator(head))
    missing = sorted(_REQUIRED.difference(rows.fieldnames or ()))
    if missing:
        none = " (séparateur attendu : virgule ou point-virgule)" if len(missing) == len(_REQUIRED) else ""
        raise NotTheList(f"il y manque les colonnes {', '.join(missing)}{none}")
    reading, known = Reading(), set[str]()
    for row in rows:
        one = _Row(rows.line_num, {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)})
        site = one.site()
        if site and site.id in known:
            one.refuse("id_fs", "ce numéro est déjà celui d’une ligne précédente")
            site = None
        if site and not one.refused:
            known.add(site.id)
            reading.sites.append(site)
            reading.adapted += one.adapted
        reading.refused += one.refused
    return reading


class _Row:
    def __init__(self, line: int, cells: dict[str, str]) -> None:
        self._line, self._cells = line, cells
        self.adapted: list[Remark] = []
        self.refused: list[Remark] = []

    def refuse(self, column: str, reason: str) -> None:
        self.refused.append(Remark(self._line, self._cells["id_fs"], column, reason))

    def site(self) -> ListedSite | None:
        """The row as a site; None, with the reasons in `refused`, if it cannot be one."""
        for column in ("id_fs", "lib_fs", "adresse"):
            if not self._cells[column]:
                self.refuse(column, "champ vide")
        commune, labelled_on = self._commune(), self._labelled_on()
        if commune is None or labelled_on is None or self.refused:
            return None
        return ListedSite(
            id=self._cells["id_fs"],
            name=self._cells["lib_fs"],
            address=self._cells["adresse"],
            complement=self._optional("complement_adresse"),
            commune=commune,
            department=department_of(commune),
            postcode=self._postcode(),
            town=self._cells.get("lib_com", ""),
            latitude=self._degrees("latitude", *_LATITUDES),
            longitude=self._degrees("longitude", *_LONGITUDES),
            emails=self._emails(),
            phone=self._phone(),
            hours=tuple(self._ranges(f"h_{day}") for day in DAYS),
            by_appointment=self._cells.get("prise_rdv") == "Oui",
            comment=self._optional("commentaire"),
            branch=self._cells.get("type_fs") == "Antenne",
            format=self._cells.get("format_fs", ""),
            group=self._optional("groupe_fs"),
            labelled_on=labelled_on,
        )

    def _adapt(self, column: str, reason: str) -> None:
        self.adapted.append(Remark(self._line, self._cells["id_fs"], column, reason))

    def _optional(self, column: str) -> str | None:
        return self._cells.get(column) or None

    def _commune(self) -> str | None:
        """The code decides, never the name: there are two Royes."""
        code = self._cells["insee_com"]
        found = communes.commune(code)
        if found is None:
            self.refuse("insee_com", f"aucune commune n’a le code INSEE « {code} »")
            return None
        if found.current != code:
            self._adapt("insee_com", f"{code} ({found.name}) fait partie de la commune {found.current}")
        if found.department != self._cells["insee_dep"].zfill(2):
            given = self._cells["insee_dep"]
            self._adapt("insee_dep", f"{given} n’est pas le département de {code} : {found.department}")
        return found.current

    def _labelled_on(self) -> date | None:
        found = _LABELLED.fullmatch(self._cells["labellisation_fs"])
        if found:
            day, month, year = map(int, found.groups())
            try:
                return date(year, month, day)
            except ValueError:
                pass
        self.refuse("labellisation_fs", "attendu : « Espace labellisé JJ/MM/AAAA »")
        return None

    def _postcode(self) -> str:
        code = self._cells["code_postal"]
        if code.isdigit() and len(code) == 4:  # noqa: PLR2004 - a spreadsheet ate the leading zero
            self._adapt("code_postal", "zéro initial ajouté")
            return f"0{code}"
        return code

    def _degrees(self, column: str, least: float, most: float) -> float | None:
        cell = self._cells.get(column, "")
        try:
            degrees = float(cell.replace(",", "."))
        except ValueError:
            degrees = float("nan")
        if least <= degrees <= most:
            return degrees
        if cell:
            self._adapt(column, "hors des limites : laissé vide")
        return None

    def _emails(self) -> tuple[str, ...]:
        cell = self._cells.get("mail", "")
        found = tuple(dict.fromkeys(each.lower() for each in _MAIL.findall(cell)))
        if len(found) > 1:
            self._adapt("mail", f"{len(found)} adresses dans une cellule : la première est celle du site")
        elif cell and not found:
            self._adapt("mail", "adresse illisible : laissée vide")
        return found

    def _phone(self) -> str | None:
        """In the international form (E.164). Overseas numbers begin with their own code behind +."""
        digits = re.sub(r"\D", "", self._cells.get("telephone", ""))
        if not digits:
            return None
        if len(digits) != 10 or not digits.startswith("0"):  # noqa: PLR2004 - a French number
            self._adapt("telephone", "numéro illisible : laissé vide")
            return None
        return f"{_OVERSEAS.get(digits[:4], '+33')}{digits[1:]}"

    def _ranges(self, column: str) -> tuple[Range, ...]:
        """A day's opening hours in order, none touching another."""
        cell = self._cells[column]
        found = _RANGE.findall(cell)
        if cell and re.sub(r"[\s/;,]", "", _RANGE.sub("", cell)):
            self._adapt(column, f"« {cell} » : seules les plages lisibles sont gardées")
        open_ = sorted(each for each in found if _is_time(each[0]) and _is_time(each[1]) and each[0] < each[1])
        if len(open_) < len(found):
            self._adapt(column, f"« {cell} » : plages vides ou à l’envers retirées")
        merged = _merged(open_)
        if len(merged) < len(open_):
            self._adapt(column, f"« {cell} » : plages qui se chevauchent ou se touchent, réunies")
        return tuple(merged)


def _is_time(text: str) -> bool:
    return text < "24:00" and text[3:] < "60"


def _merged(ranges: Iterable[Range]) -> list[Range]:
    """Ranges in the order of their beginning, with those that touch made one."""
    merged: list[Range] = []
    for begin, end in ranges:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged
