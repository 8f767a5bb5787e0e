"""Reading and checking network files: all problems at once, each with its file, its place and its reason."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from services.network.schema import Network, NetworkFile
from services.network.vocabulary import NeedGroup

# pydantic speaks English; whoever writes a network file reads French.
_REASONS = {
    "missing": "champ obligatoire",
    "extra_forbidden": "champ inconnu",
    "string_type": "un texte est attendu",
    "string_too_short": "ne doit pas être vide",
    "too_short": "ne doit pas être vide",
    "string_pattern_mismatch": "« {input} » ne suit pas le format {pattern}",
    "literal_error": "« {input} » est inconnu, valeurs possibles : {expected}",
    "enum": "« {input} » est inconnu, valeurs possibles : {expected}",
    "bool_type": "true ou false est attendu",
    "bool_parsing": "true ou false est attendu",
    "int_type": "un nombre entier est attendu",
    "int_parsing": "un nombre entier est attendu",
    "greater_than_equal": "doit valoir au moins {ge}",
    "date_type": "une date est attendue (AAAA-MM-JJ)",
    "date_parsing": "une date est attendue (AAAA-MM-JJ)",
    "date_from_datetime_parsing": "une date est attendue (AAAA-MM-JJ)",
    "date_from_datetime_inexact": "une date sans heure est attendue (AAAA-MM-JJ)",
    "tuple_type": "une liste est attendue",
    "frozen_set_type": "une liste est attendue",
    "model_type": "une table est attendue",
    "model_attributes_type": "une table est attendue",
    "value_error": "{error}",
}


class Severity(StrEnum):
    """An error routes people wrongly, or cannot be read at all; a warning deserves a look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong, where: told as a line `file: table.path.to.value: reason`."""

    file: str
    place: str
    reason: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """The line."""
        mark = "avertissement : " if self.severity is Severity.WARNING else ""
        return f"{self.file}: {self.place}: {mark}{self.reason}"


class NetworkError(Exception):
    """The network files are wrong. Each problem is a line `file: table.path.to.value: reason`."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        """Keep the flaws, in the order of the files."""
        super().__init__("\n".join(map(str, flaws)))
        self.flaws = list(flaws)

    @property
    def problems(self) -> list[str]:
        """The flaws as lines."""
        return list(map(str, self.flaws))


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is right by itself."""

    name: str
    file: NetworkFile


def load(path: Path) -> Network:
    """Read one TOML file, or every `*.toml` of a folder by name.

    Raises NetworkError with every problem found: unreadable file, unknown key, bad code, duplicate id, or a
    reference to what no file declares.
    """
    return load_files(files_of(path))


def load_files(paths: Sequence[Path]) -> Network:
    """Read these TOML files as one network. Raises NetworkError as `load` does."""
    return join(read(paths))


def files_of(path: Path) -> list[Path]:
    """The file itself, or what a folder holds, by name. Raises NetworkError where a folder holds none."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.toml"))
    if not files:
        raise NetworkError([Flaw(path.name, "document", "aucun fichier .toml dans ce dossier")])
    return files


def read(paths: Sequence[Path]) -> list[Source]:
    """Read these TOML files, each still apart. Raises NetworkError as `load` does."""
    sources: list[Source] = []
    flaws: list[Flaw] = []
    for path in paths:
        try:
            sources.append(Source(path.name, _read(path)))
        except NetworkError as error:
            flaws += error.flaws
    # References are only judged once each file is right by itself: otherwise one mistake would be told many times.
    flaws = flaws or [*_duplicates(sources), *_dangling(sources), *_line_problems(sources)]
    if flaws:
        raise NetworkError(flaws)
    return sources


def join(sources: Sequence[Source]) -> Network:
    """Make one network of the files."""
    files = [source.file for source in sources]
    return Network(
        rules_version=next((file.network.rules_version for file in files if file.lines), None),
        charters=tuple(each for file in files for each in file.charters),
        sites=tuple(each for file in files for each in file.sites),
        partners=tuple(each for file in files for each in file.partners),
        contact_sheets=tuple(each for file in files for each in file.contact_sheets),
        lines=tuple(each for file in files for each in file.lines),
        information=tuple(each for file in files for each in file.information),
        journeys=tuple(each for file in files for each in file.journeys),
    )


def _read(path: Path) -> NetworkFile:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NetworkError([Flaw(path.name, "document", f"fichier illisible ({error.strerror})")]) from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise NetworkError([Flaw(path.name, "document", f"TOML invalide ({error})")]) from error
    try:
        return NetworkFile.model_validate(document)
    except ValidationError as error:
        # pydantic also calls a list too short whose items were all refused, which was told already.
        errors = [each for each in error.errors() if each["type"] != "too_short" or not each["input"]]
        raise NetworkError([Flaw(path.name, _place(each, document), _reason(each)) for each in errors]) from error


def _place(error: ErrorDetails, document: Any) -> str:  # noqa: ANN401 - any TOML value
    """Spell `partners[2].covers` as the author wrote it, without the branch names that pydantic adds for a union."""
    place, here = "", document
    for part in error["loc"]:
        if isinstance(part, int) and isinstance(here, list):
            place, here = f"{place}[{part}]", here[part]
        elif isinstance(part, str) and isinstance(here, dict) and (part in here or error["type"] == "missing"):
            place, here = f"{place}.{part}", here.get(part)
    return place.removeprefix(".") or "document"


def _reason(error: ErrorDetails) -> str:
    template = _REASONS.get(error["type"])
    if template is None:
        return f"valeur refusée ({error['msg']})"
    reason = template.format(**{"input": error["input"]} | error.get("ctx", {}))
    if error["type"] == "enum" and error["loc"][-1] == "need":  # of a need, which a group may stand for
        reason += f" ou '{NeedGroup.EMPLOYMENT}'"
    return reason.replace("' or '", "' ou '")


def _duplicates(sources: Sequence[Source]) -> Iterator[Flaw]:
    """Compare ids; sites, partners and charters share theirs, since tokens and broker accounts name an id alone."""
    seen: dict[tuple[str, str], str] = {}
    for source in sources:
        file = source.file
        ids = [("network", "network", file.network.id)]
        ids += [("organisation", f"charters[{index}]", each.id) for index, each in enumerate(file.charters)]
        ids += [("organisation", f"sites[{index}]", each.id) for index, each in enumerate(file.sites)]
        ids += [("organisation", f"partners[{index}]", each.id) for index, each in enumerate(file.partners)]
        ids += [("line", f"lines[{index}]", each.id) for index, each in enumerate(file.lines)]
        ids += [("journey", f"journeys[{index}]", each.id) for index, each in enumerate(file.journeys)]
        for space, place, id_ in ids:
            if (space, id_) in seen:
                yield Flaw(source.name, f"{place}.id", f"« {id_} » est déjà pris ({seen[space, id_]})")
            else:
                seen[space, id_] = f"{source.name}, {place}"


def _dangling(sources: Sequence[Source]) -> Iterator[Flaw]:
    """Name the references to sites, partners, kinds and journeys that no file declares."""
    files = [source.file for source in sources]
    sites = {site.id for file in files for site in file.sites}
    partners = {partner.id for file in files for partner in file.partners}
    for source in sources:
        for index, charter in enumerate(source.file.charters):
            for number, site in enumerate(charter.sites):
                if site not in sites:
                    yield Flaw(source.name, f"charters[{index}].sites[{number}]", f"site inconnu « {site} »")
        for index, sheet in enumerate(source.file.contact_sheets):
            if sheet.partner not in partners:
                yield Flaw(source.name, f"contact_sheets[{index}].partner", f"partenaire inconnu « {sheet.partner} »")
    yield from _dangling_lines(sources)


def _dangling_lines(sources: Sequence[Source]) -> Iterator[Flaw]:
    files = [source.file for source in sources]
    kinds = {partner.kind for file in files for partner in file.partners}
    kinds |= {kind for file in files for kind in file.network.local_kinds}
    journeys = {journey.id for file in files for journey in file.journeys}
    for source in sources:
        for index, line in enumerate(source.file.lines):
            named = [
                (f"recipients[{group}][{number}]", step.kind)
                for group, steps in enumerate(line.steps)
                for number, step in enumerate(steps)
            ]
            named += [("msa", line.msa)] if line.msa else []
            for place, kind in named:
                if kind not in kinds:
                    yield Flaw(source.name, f"lines[{index}].{place}", f"aucun partenaire de type « {kind} »")
            if line.journey and line.journey not in journeys:
                yield Flaw(source.name, f"lines[{index}].journey", f"parcours inconnu « {line.journey} »")


def _line_problems(sources: Sequence[Source]) -> Iterator[Flaw]:
    """Keep the lines in one file: they are read from the top, and an order between files would be an accident."""
    with_lines = [source for source in sources if source.file.lines]
    for source in with_lines:
        if source.file.network.rules_version is None:
            yield Flaw(source.name, "network.rules_version", "champ obligatoire dans un fichier qui a des lignes")
    for source in with_lines[1:]:
        yield Flaw(source.name, "lines", f"{with_lines[0].name} a déjà une table de lignes, il n'en faut qu'une")
