"""Structures and services as data·inclusion v1 has them, for tests: right unless a test spoils them."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def structure(number: int = 1, source: str = "dora", **fields: Any) -> Row:  # noqa: ANN401 - any field
    """A structure at Roye in the Somme; None leaves a field out."""
    row = {
        "source": source,
        "id": f"{source}--s{number}",
        "nom": f"Association {number}",
        "date_maj": "2025-10-01",
        "commune": "Roye",
        "code_postal": "80700",
        "code_insee": "80685",
        "adresse": "1 place de la Mairie",
        "latitude": 49.6995,
        "longitude": 2.7903,
        "telephone": "+33199001234",
        "reseaux_porteurs": ["mission-locale", "ccas-cias"],
    }
    return {name: value for name, value in (row | fields).items() if value is not None}


def service(number: int = 1, source: str = "dora", **fields: Any) -> Row:  # noqa: ANN401 - any field
    """A service of structure 1, for anyone of the Somme; None leaves a field out."""
    row = {
        "source": source,
        "structure_id": f"{source}--s1",
        "id": f"{source}--{number}",
        "nom": f"Service {number}",
        "description": "Un accompagnement, « pas à pas » ;\nsur rendez-vous.",
        "date_maj": "2025-10-02",
        "thematiques": ["trouver-un-emploi--repondre-a-des-offres-demploi", "numerique--acquerir-un-equipement"],
        "publics": ["tous-publics"],
        "modes_accueil": ["en-presentiel"],
        "zone_eligibilite": ["80"],
        "code_insee": "80685",
        "latitude": 49.6995,
        "longitude": 2.7903,
        "lien_mobilisation": "https://example.org/rdv?de=roye",
        "nombre_semaines": 3,
    }
    return {name: value for name, value in (row | fields).items() if value is not None}


def as_list(path: Path, rows: Iterable[object]) -> Path:
    """Write a JSON list."""
    path.write_text(json.dumps(list(rows), ensure_ascii=False), encoding="utf-8")
    return path


def as_lines(path: Path, rows: Iterable[object]) -> Path:
    """Write newline-delimited JSON; a text is a line as it is."""
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def as_cells(path: Path, rows: Iterable[Mapping[str, object]], delimiter: str = ",") -> Path:
    """Write CSV as data·inclusion publishes it: pandas writes a list of codes as Python does."""
    given = list(rows)
    names = list(dict.fromkeys(name for row in given for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(given)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path
