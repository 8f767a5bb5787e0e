"""The guides for partners and sites: their tables are the code's, and what they show of a program is that program."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from services.contracts.codes import DeclineReason, ReferralOutcome
from services.contracts.referral import FOR_PARTNERS, PartnerAnswerRefused, PartnerReferralMoved, PartnerReferralSent
from services.referral.domain.life import WAYS, Side, answer_problem

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = ("partenaires.md", "sites.md")
PARTNERS = (DOCS / "partenaires.md").read_text(encoding="utf-8")
EXAMPLES = sorted(path for path in (DOCS / "examples").iterdir() if path.is_file())
LONGEST = 48  # lines that are not empty


def codes(text: str) -> list[str]:
    """What stands between backquotes."""
    return re.findall(r"`([^`]+)`", text)


def bullet(beginning: str) -> str:
    """The point of a list that begins so, on one line."""
    found = re.search(rf"^- {re.escape(beginning)}(.*(?:\n  .*)*)", PARTNERS, re.MULTILINE)
    assert found, beginning
    return found[1].replace("\n", " ")


def test_every_event_is_in_the_table_and_no_other() -> None:
    """In the code's own order."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]*\|$", PARTNERS, re.MULTILINE)
    assert rows == [each.TYPE.removeprefix("fr.relais.").removesuffix(".v1") for each in FOR_PARTNERS]


def test_every_field_of_an_event_is_named() -> None:
    """Three kinds of events, and the fields of each."""
    for kind, model in (
        ("`ReferralSent` :", PartnerReferralSent),
        ("`AnswerRefused` :", PartnerAnswerRefused),
        ("les autres :", PartnerReferralMoved),
    ):
        assert codes(bullet(f"Champs de `data` pour {kind}")) == list(model.model_fields)


def test_every_answer_is_in_the_table_with_what_it_takes() -> None:
    """From which states, and what must be said with it."""
    rows = re.findall(
        r"^\| `([a-z-]+)` \| [^|`]+ \| ((?:`[a-z-]+`(?:, )?)+) \| (?:`(\w+)`)? ?\|$", PARTNERS, re.MULTILINE
    )
    told = {status: (set(codes(before)), demanded) for status, before, demanded in rows}
    wanted = {
        answer: {state.value for state, ways in WAYS.items() if answer in ways.get(Side.RECIPIENT, ())}
        for ways in WAYS.values()
        for answer in ways.get(Side.RECIPIENT, ())
    }
    problems = {answer: answer_problem(answer, None, None, has_outcome=False) for answer in wanted}
    assert told == {answer.value: (before, (problems[answer] or ("",))[0]) for answer, before in wanted.items()}


@pytest.mark.parametrize(("field", "values"), [("reason", DeclineReason), ("outcome", ReferralOutcome)])
def test_every_code_of_an_answer_is_listed(field: str, values: type[DeclineReason | ReferralOutcome]) -> None:
    """Each reason and each outcome, in the code's own order."""
    listed = [code for code in codes(bullet(f"`{field}` :")) if code != "note"]
    assert listed == [each.value for each in values]


@pytest.mark.parametrize("guide", GUIDES)
def test_what_is_shown_of_a_program_is_the_program(guide: str) -> None:
    """Each block in a programming language stands in one of the examples, to the letter."""
    sources = [path.read_text(encoding="utf-8") for path in EXAMPLES]
    whole = [*sources, *(dedent("\n".join(re.findall(r"^(?: {4}.*)?$", each, re.MULTILINE))) for each in sources)]
    text = (DOCS / guide).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:python|js)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        assert any(block.rstrip() in each for each in whole), block


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_explained(path: Path) -> None:
    """A guide links it, and names each environment variable that it reads."""
    text = path.read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= LONGEST
    linking = [guide for guide in GUIDES if f"(examples/{path.name})" in (DOCS / guide).read_text(encoding="utf-8")]
    assert linking
    read = set(re.findall(r"environ(?:\.get\(|\[)[\"'](\w+)", text))
    read |= set(re.findall(r"\$\{?([A-Z][A-Z_]+)", text)) if path.suffix == ".sh" else set()
    for names in re.findall(r"^const \{([^}]+)\} = process\.env;$", text, re.MULTILINE):
        read |= {name.split("=")[0].strip() for name in names.split(",")}
    assert read
    for name in read:
        assert f"`{name}`" in (DOCS / linking[0]).read_text(encoding="utf-8"), name
