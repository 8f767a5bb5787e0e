"""No door takes a social security number: every field of every form that a client may fill in, and every address.

A field that is added without `FreeText` and its like, or a type that holds no such number, fails here.
"""

import ast
import importlib
import inspect
import pkgutil
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import ANY

import pytest
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from werkzeug.routing import Map, Rule

import services
from services.chassis import problems
from services.chassis.door import Receiver
from services.chassis.errors import Rejected
from services.chassis.http import Http
from services.chassis.oidc import Returned
from services.contracts.free_text import NIR, holds_nir
from services.contracts.topology import SERVICES
from services.intake import page_forms as intake_page_forms
from services.intake.case_forms import SearchForm
from services.intake.forms import PersonForm, VisitForm
from services.intake.page_forms import PersonPost, SearchPost
from services.network.vocabulary import FileTable
from services.referral import page_forms
from services.referral.forms import AnswerForm
from services.referral.page_forms import AnswerPost

ROOT = Path(services.__file__).parent
# As many spellings as there are patterns that fields have: digits alone, what an id may be, lines, addresses.
SPELLINGS = [
    *(
        "1850578006084",
        "185057800608491",
        "292032A004123",
        "292032a004123",
        "1 85 05 78 006 084",
        "1 85 05 78 006 084 91",
    ),
    *("1-85-05-78-006-084", "1.85.05.78.006.084.91", "1_85_05_78_006_084", "1:85:05:78:006:084", "id-1850578006084-a"),
    *("nir185057800608491", "1850578006084@exemple.fr", "demander-une-aide:1850578006084", "a=1850578006084&b="),
    *("１８５０５７８００６０８４", "1\u202f85\u00a005\t78\n006\u200b084", "+1850578006084"),  # noqa: RUF001 - full-width
]
PERSON = {"family_name": "Da Silva", "given_name": "Zoé", "birth_date": "2001-03-14"}
# What is filled in again when it is wrong has to come back to the page; it is read a second time, as the API's form.
READ_AGAIN: dict[type[BaseModel], tuple[dict[str, Any], set[str], Callable[[Any], tuple[object, dict[str, str]]]]] = {
    AnswerPost: (
        {"answer_id": "a", "status": "accepted", "day": "2026-12-01", "time": "09:30", "place": "a"},
        {"place", "contact", "note"},
        page_forms.read,
    ),
    SearchPost: (
        PERSON,
        {"reference", *PERSON},
        lambda post: intake_page_forms.read(SearchForm, post.asked),
    ),
    PersonPost: (PERSON, {*PERSON, "phone", "email"}, lambda post: intake_page_forms.read(PersonForm, post.asked)),
}
# Compared with what the attempt began with, or handed back to the provider that made it; kept and shown nowhere.
KEPT_NOWHERE: dict[type[BaseModel], set[str]] = {Returned: {"code", "state", "iss", "error"}}


# They make the whole process cooperative, which other tests do not expect of theirs.
GREEN = {"services.__main__", "services.chassis.green"}


def modules() -> Iterator[Any]:
    """Every module of Relais that has forms."""
    for found in pkgutil.walk_packages([str(ROOT)], "services."):
        if found.name not in GREEN and ".migrations" not in found.name:
            yield importlib.import_module(found.name)


def service_classes() -> list[type]:
    """The four, with every entrypoint they inherit."""
    found = []
    for name in SERVICES:
        module = importlib.import_module(f"services.{name}.service")
        found += [
            each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__
        ]
    return found


def entries(kind: type) -> list[Any]:
    """Every entrypoint of that kind."""
    return [
        entry
        for service in service_classes()
        for _, method in inspect.getmembers(service, inspect.isfunction)
        for entry in getattr(method, ENTRYPOINT_EXTENSIONS_ATTR, ())
        if isinstance(entry, kind)
    ]


def below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A form and every form in it."""

    def inside(annotation: object) -> Iterator[type[BaseModel]]:
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            yield from below(annotation)
        for part in getattr(annotation, "__args__", ()):
            yield from inside(part)

    yield model
    for field in model.model_fields.values():
        yield from inside(field.annotation)


def subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Every model there is."""
    for each in model.__subclasses__():
        yield each
        yield from subclasses(each)


@cache
def asked() -> set[str]:
    """The names of what code reads requests and letters as."""
    found = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"body", "form", "form_or_empty", "query", "read"}
                and ast.unparse(node.func.value).rpartition(".")[2] in {"request", "letter", "_request"}
                and node.args
                and isinstance(node.args[0], ast.Name)
                and node.args[0].id.lstrip("_")[0].isupper()
            ):
                found.add(node.args[0].id)
    return found


def forms() -> list[type[BaseModel]]:
    """What entrypoints say that they take, and whatever else refuses unknown fields: only what is sent in does."""
    loaded = {module.__name__ for module in modules()}
    said = {form for entry in entries(Http) for form in (entry.form, entry.query_form) if form}
    strict = {
        each
        for each in subclasses(BaseModel)
        if each.__module__ in loaded
        and each.model_config.get("extra") == "forbid"
        and not issubclass(each, FileTable)  # of network files, which whoever runs Relais writes
        and ".directory." not in each.__module__  # of the public directory's own files
    }
    read_as = {each for each in subclasses(BaseModel) if each.__module__ in loaded and each.__name__ in asked()}
    found = {each for form in said | strict | read_as for each in below(form)}
    return sorted(found, key=lambda each: (each.__module__, each.__name__))


def texts_in(value: object) -> Iterator[str]:
    """Whatever text a value holds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts_in(key)
            yield from texts_in(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from texts_in(each)


def taken(field: FieldInfo) -> list[str]:
    """The spellings that a field takes: alone, in a list, as an object's value or key."""
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    adapter: TypeAdapter[object] = TypeAdapter(kind)
    found = []
    for spelt in SPELLINGS:
        for value in (spelt, [spelt], {"a": spelt}, {spelt: "a"}, {spelt: 1}, [[spelt]], [{"a": spelt}]):
            try:
                read_as = adapter.validate_python(value)
            except ValidationError:
                continue
            found += [text for text in texts_in(read_as) if holds_nir(text)]
    return found


def is_unread(field: FieldInfo) -> bool:
    """What `simulate` ignores of a visit: neither shown nor handed on."""
    return field.exclude is True and field.repr is False


@pytest.mark.parametrize(
    "form", forms(), ids=lambda form: f"{form.__module__.removeprefix('services.')}.{form.__name__}"
)
def test_no_field_takes_one(form: type[BaseModel]) -> None:
    """By its pattern, its type, or because it is refused."""
    excepted: set[str] = READ_AGAIN.get(form, ({}, set()))[1] | KEPT_NOWHERE.get(form, set())
    wrong = {
        name: found
        for name, field in form.model_fields.items()
        if name not in excepted and not is_unread(field) and (found := taken(field))
    }
    assert not wrong


class Forgotten(BaseModel):
    """What somebody may write one day."""

    model_config = ConfigDict(extra="ignore")

    a: str
    b: str | None = None
    c: tuple[str, ...] = ()
    d: dict[str, int] = {}
    e: Annotated[str, "a note"] = ""
    f: object = None
    g: int | list[str] = 0


@pytest.mark.parametrize("name", Forgotten.model_fields)
def test_a_field_without_the_check_is_noticed(name: str) -> None:
    """In whatever it is wrapped."""
    assert taken(Forgotten.model_fields[name])


def test_what_is_walked_over_is_what_is_read() -> None:
    """Each form that code reads a request or a letter as is among them, so that none is overlooked."""
    assert {"VisitForm", "AnswerForm", "PostedAnswer", "CounterForm", "SearchForm"} <= asked()
    assert asked() <= {form.__name__ for form in forms()}


def test_nobody_reads_a_body_in_another_way() -> None:
    """Only where visits stand one a line, each of which is then read as a visit."""
    raw = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if "request.raw(" in path.read_text(encoding="utf-8").replace("self.raw(", "")
    ]
    assert raw == ["intake/service.py"]
    assert len(entries(Receiver)) == 2  # visits and answers


@pytest.mark.parametrize(
    ("post", "name"),
    [(post, name) for post, (_, names, _) in READ_AGAIN.items() for name in sorted(names)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_a_page_reads_again_is_refused_then(post: type[BaseModel], name: str) -> None:
    """Said at the field, and nothing is quoted; right values are taken."""
    right, _, read = READ_AGAIN[post]
    assert read(post.model_validate(right)) == (ANY, {})
    for spelt in SPELLINGS:
        form, told = read(post.model_validate(right | {name: spelt}))
        assert form is None, spelt
        assert name in told
        assert not any(map(holds_nir, told.values()))


@pytest.mark.parametrize("url", sorted({entry.url for entry in entries(Http)}))
def test_no_address_takes_one(url: str) -> None:
    """A part of an address is a UUID or one of some words, or else it is refused before the service has it."""
    adapter = Map([Rule(url, endpoint=url)]).bind("localhost")
    for spelt in SPELLINGS:
        path = "".join(spelt if variable else text for variable, text in parts_of(url))
        try:
            _, values = adapter.match(path)
        except Exception:  # noqa: BLE001, S112 - werkzeug knows no such address
            continue
        if any(map(holds_nir, texts_in(values))):
            with pytest.raises(Rejected) as refused:
                problems.refuse_nir(values)
            assert (refused.value.status, refused.value.detail) == (422, NIR)


def parts_of(url: str) -> Iterator[tuple[bool, str]]:
    """The parts of a rule, and whether each stands for something."""
    for number, part in enumerate(url.replace(">", "<").split("<")):
        yield number % 2 == 1, part


def test_some_address_would_have_taken_it() -> None:
    """A recipient's; so the test above tests something."""
    assert [url for url in {entry.url for entry in entries(Http)} if url.endswith("/<recipient>")]


@pytest.mark.parametrize("spelt", SPELLINGS, ids=ascii)
def test_the_name_of_an_unknown_field_is_not_quoted(spelt: str) -> None:
    """Where it looks like a number, the error says that there is one field too many, and not which."""
    body = f'{{"needs": [{{"{spelt.encode("unicode_escape").decode()}": 1}}]}}'.replace("\\x", "\\u00")
    with pytest.raises(Rejected) as refused:
        problems.validate(VisitForm, body.encode())
    assert {"pointer": "/needs/0/…", "detail": "Champ inconnu."} in refused.value.errors
    assert not holds_nir(str(refused.value.errors))


def test_a_whole_answer_is_refused_with_a_pointer() -> None:
    """As a partner's program sees it: which field, and why."""
    with pytest.raises(Rejected) as refused:
        problems.validate(AnswerForm, b'{"answer_id": "1850578006084", "status": "received", "note": "ok"}')
    assert refused.value.errors == [{"pointer": "/answer_id", "detail": NIR}]


def test_an_answer_may_be_numbered_by_the_time() -> None:
    """Milliseconds since 1970 often look like such a number; those of this month are taken for what they are."""
    for days in (0, -30, 30):
        number = str(round((time.time() + days * 24 * 3600) * 1000))
        assert AnswerForm.model_validate({"answer_id": number, "status": "received"}).answer_id == number
