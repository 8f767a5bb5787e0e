"""The house's own rules, and that `make lint` would notice who breaks them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE, LONGEST_SERVICE = 350, 110
SOURCES = sorted(path for folder in ("services", "tests", "deploy") for path in (ROOT / folder).rglob("*.py"))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a copy of the services, with the repository's own contracts."""
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    return subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", program, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy what import-linter looks at."""
    shutil.copytree(ROOT / "services", tmp_path / "services", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_are_kept_as_things_are(copy: Path) -> None:
    """So that what the next test breaks is what it breaks."""
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


FORBIDDEN = {
    "one service another": ("intake/handlers.py", "import services.referral.domain", "no service imports another"),
    "one service another's tables": (
        "reporting/queries.py",
        "from services.intake import tables",
        "no service imports",
    ),
    "the chassis a service": ("chassis/outbox.py", "import services.orientation.rules", "imports go down"),
    "the wire format the chassis": ("contracts/codes.py", "import services.chassis.clock", "imports go down"),
    "a domain SQLAlchemy": ("orientation/domain/visit.py", "import sqlalchemy", "a domain is plain Python"),
    "a domain pydantic": ("intake/domain/people.py", "import pydantic", "a domain is plain Python"),
    "a domain its own tables": ("intake/domain/people.py", "import services.intake.tables", "rooms of a service"),
    "queries their handlers": ("reporting/queries.py", "import services.reporting.handlers", "rooms of a service"),
    "a handler nameko": ("intake/handlers.py", "import nameko", "frameworks stay in the chassis"),
    "a query eventlet": ("referral/queries.py", "import eventlet", "frameworks stay in the chassis"),
}


@pytest.mark.parametrize(("file", "line", "contract"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_lint_fails_when_this_imports_that(copy: Path, file: str, line: str, contract: str) -> None:
    """One such line anywhere is enough, and the contract that it breaks is named."""
    path = copy / "services" / file
    path.write_text(f"{path.read_text()}\n{line}\n")
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout
    broken = [told for told in done.stdout.splitlines() if " BROKEN" in told]
    assert any(contract in told for told in broken), done.stdout


def test_make_lint_runs_them() -> None:
    """A contract that nobody checks is a wish."""
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    assert "lint-imports" in lint
    assert "ruff check" in lint
    assert "mypy" in lint


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_no_file_is_too_long_to_be_read_in_one_sitting(path: Path) -> None:
    """A service's whole outside fits on one page."""
    longest = LONGEST_SERVICE if path.name == "service.py" else LONGEST_FILE
    assert len(path.read_text().splitlines()) <= longest


def test_every_service_has_its_page() -> None:
    """Four of them, found by the test above."""
    assert [path.parent.name for path in SOURCES if path.name == "service.py"] == [
        "intake",
        "orientation",
        "referral",
        "reporting",
    ]
