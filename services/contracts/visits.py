"""What no document of a visit may hold, at whichever door it is read: a judgement, a need told twice, a commune's name.

The charter forbids a counter agent to establish a socio-professional diagnosis (Avre Luce Noye charter, art. 1), so no
form has a field for one. Whoever sends one is told why there is none, and never what was in it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, PydanticKnownError

from services.contracts.codes import Obstacle, Public
from services.contracts.intake import Commune, NeedFacts

DIAGNOSIS = (
    "La charte (art. 1) interdit au guichet d’établir un diagnostic socioprofessionnel : aucun champ ne note, ne classe"
    " ni n’évalue une personne."
)
REPEATED = "Ce besoin est déjà dans la visite : une fois suffit (« autre » se répète avec un autre label)."
_NO_CODE = "Un code INSEE de commune est attendu, en cinq caractères : 80570 (Moreuil), 01053, 2A004."

# Beginnings of words, French and English, in names written without accents as `a_b`; `_?$` closes a whole word.
_JUDGEMENT = re.compile(
    r"(?:^|_)(?:"
    r"scor|notation|note_(?:\d|sur_|global|final|chiffree)|rang(?:s|_|$)|rank|rating|grade(?:_|$)|classement|classif"
    r"|probab|proba(?:_|$)|likelihood|vraisembl|pronosti|prognos|predict"
    r"|diagnos|profil|segment|typolog|evaluation|assess|appreciation|jugement|judge?ment"
    r"|(?:niveau|level)(?:$|_(?:d_|de_|of_)?(?:l_)?(?:emploi|employ|insertion|work|job|competence|skill|difficult))"
    r"|employab|readiness|eloign|distance_(?:\w+_)?(?:emploi|employment|travail|work|job|marche|labou?r)"
    r"|autonom|motivat|risk|risqu|aptitud|potential|potentiel|fragil|vulnerab|comportement|behaviou?r|attitude"
    r")"
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
MOST_CODES = 50
# What is wrong is told up to this many times: a small document can be wrong in tens of thousands of places.
_MOST_ERRORS = 200
_COMMUNE = re.compile(r"\s*(?:2[AB]|[0-9]{2})[0-9]{3}\s*")


def judges(name: str) -> bool:
    """Whether a field of that name would hold a judgement about a person: a score, a rank, a probability, a profile."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _JUDGEMENT.search("_".join(_WORDS.findall(plain)).lower()) is not None


class Undiagnosed(BaseModel):
    """A form in JSON whose unknown fields, at any depth, are refused with the charter's reason where they judge."""

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:  # noqa: ANN401 - pydantic's
        """Read the form. Raises ValidationError; what is right costs nothing, unlike with a validator around it."""
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            errors = error.errors(include_url=False)[:_MOST_ERRORS]
            judgements = [list(islice(_judgements(each), _MOST_ERRORS)) for each in errors]
            if not any(judgements):
                raise
            told = [each for old, new in zip(errors, judgements, strict=True) for each in new or [_as_it_was(old)]]
            raise ValidationError.from_exception_data(error.title, told, "json", hide_input=True) from None


def _judgements(error: ErrorDetails) -> Iterator[InitErrorDetails]:
    if error["type"] == "extra_forbidden":
        *form, name = error["loc"]
        yield from map(_diagnosis, _judging_places({name: error["input"]}, tuple(form)))


def _diagnosis(place: tuple[int | str, ...]) -> InitErrorDetails:
    return {"type": PydanticCustomError("value_error", "{error}", {"error": DIAGNOSIS}), "loc": place, "input": None}


def _as_it_was(error: ErrorDetails) -> InitErrorDetails:
    """The same error to raise again: a type of pydantic's own cannot be made anew from what it tells of itself."""
    again = PydanticCustomError(error["type"], error["msg"], error.get("ctx"))
    return {"type": again, "loc": error["loc"], "input": error["input"]}


def _without_judgement(document: object) -> object:
    """What a form ignores, unread but for the names of its fields. Raises ValidationError at each one that judges."""
    if errors := [_diagnosis(place) for place in islice(_judging_places(document), _MOST_ERRORS)]:
        raise ValidationError.from_exception_data("ignored", errors, "json", hide_input=True)
    return document


def _judging_places(document: object, at: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    if isinstance(document, list):
        for number, each in enumerate(document):
            yield from _judging_places(each, (*at, number))
    elif isinstance(document, dict):
        for name, each in document.items():
            if judges(str(name)):
                yield (*at, name)
            else:
                yield from _judging_places(each, (*at, name))


def _shaped(value: object) -> object:
    if isinstance(value, str) and not _COMMUNE.fullmatch(value):
        raise ValueError(_NO_CODE)
    return value


def at_most(number: int) -> BeforeValidator:
    """Refuses a longer list before anything in it is looked at: pydantic's own limit counts what was right in it."""

    def limited(value: object) -> object:
        if isinstance(value, list | tuple) and len(value) > number:
            context = {"field_type": "List", "max_length": number, "actual_length": len(value)}
            raise PydanticKnownError("too_long", context)
        return value

    return BeforeValidator(limited)


Ignored = Annotated[Any, AfterValidator(_without_judgement)]
Residence = Annotated[Commune, BeforeValidator(_shaped)]
Publics = Annotated[tuple[Public, ...], Field(max_length=MOST_CODES), at_most(MOST_CODES)]
Obstacles = Annotated[tuple[Obstacle, ...], Field(max_length=MOST_CODES), at_most(MOST_CODES)]


def repeated_needs(needs: Iterable[NeedFacts]) -> list[int]:
    """The places, from 0, of needs that the visit has told already; `autre` is another need with another label."""
    seen: set[tuple[str, str | None]] = set()
    repeated = []
    for place, need in enumerate(needs):
        told = (need.code, need.label)
        if told in seen:
            repeated.append(place)
        seen.add(told)
    return repeated
