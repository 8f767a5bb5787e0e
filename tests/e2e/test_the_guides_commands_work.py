"""What the guides tell readers to type is typed here, block after block, on a running house."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from services.contracts.topology import SERVICES
from tests.support.house import House, visit

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Not for this house: what builds or administers another one.
ELSEWHERE = ("make ", "rabbitmqctl", "psql", "relais run", "dead-letters")
# Who is expected at the site of the guide, as the guide's own command prints it.
EXPECTED_PERSON = "mission-locale-santerre numerique "
# As a reader would: look again a moment later. An error of the API is an error of the guide.
CURL = """#!/bin/sh
for _ in 1 2 3 4 5 6 7 8 9 10; do /usr/bin/env -i "$REAL_CURL" --fail-with-body -sS "$@" && exit; sleep 0.5; done
exit 1
"""


def script_of(page: Path, house: House) -> str:
    """The page's commands in order, at the addresses of this house."""
    text = page.read_text(encoding="utf-8")
    for number, service in enumerate(SERVICES, 8001):
        text = text.replace(f"127.0.0.1:{number}", f"127.0.0.1:{house.ports[service]}")
    blocks = []
    for kind, block in BLOCK.findall(text):
        if kind == "toml":
            blocks.append(f"cat > laonnois.toml <<'TOML'\n{block}TOML")
        elif not any(words in block for words in ELSEWHERE):
            blocks.append(block)
    return "\n".join(["set -eu", *blocks])


@pytest.fixture(scope="module")
def own_house(houses: Callable[..., House]) -> House:
    """Run a house of the guides' own: in the shared one, the first page of a list is full of others' referrals."""
    house = houses()
    house.start()
    return house


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            "README.md",
            [
                "reference",
                "Mission locale",
                "cherche une formation de cuisine",
                '"kind":"exact"',
                "S’applique.",
                "Visite (France services Moreuil)",
                '"proposals"',
            ],
        ),
        (
            "docs/sites.md",
            [
                "reference",
                '"kind":"exact"',
                "16-logement",
                "09-freins-spie",
                "1 visits recorded, 0 refused",
                "referrals",
                EXPECTED_PERSON,
                '"stories":[{"visit_id":',
                '"action":"exported"',
            ],
        ),
        (
            "docs/partenaires.md",
            [
                "fr.relais.ReferralSent.v1",
                '"stories":[{"visit_id":null',
                '"state":"received"',
                '"need":"declarer-revenus","state":"sent"',
            ],
        ),
        ("docs/network-files.md", ["nothing to mend", "Mission locale de Laon"]),
    ],
)
def test_every_command_of_a_guide_works(own_house: House, tmp_path: Path, page: str, words: list[str]) -> None:
    """Each ends with 0, and the page's commands print what it promises."""
    house = own_house
    body = visit()
    house.post_visit(body)
    house.sent(body)
    expected = {"referral_id": str(uuid4()), "site": "fs-moreuil", "need": "numerique", "agreed": True}
    headers = house.bearer("partner", "mission-locale-santerre")
    house.client.post(f"{house.url('referral')}/v1/referrals", json=expected, headers=headers).raise_for_status()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("relais", f'#!/bin/sh\nexec "{sys.executable}" -m services "$@"\n'), ("curl", CURL)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    real = subprocess.run(["/bin/sh", "-c", "command -v curl"], capture_output=True, text=True, check=True)
    done = subprocess.run(  # noqa: S603 - the commands are our own guides
        ["/bin/sh", "-c", script_of(ROOT / page, house)],
        cwd=tmp_path,
        env=house.environment
        | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "REAL_CURL": real.stdout.strip(),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for each in words:
        assert each in done.stdout
