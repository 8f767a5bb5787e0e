"""The rules as one text: what is kept is what was applied, and a version means the same rules everywhere."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from services.network import load
from services.network.rules_text import read_rules, rules_text, version_of
from services.network.schema import Clocks

NETWORKS = Path(__file__).parents[3] / "deploy" / "networks"
KEPT = Path(__file__).with_name("rules_of_2026_11.json")
_VERSION = """
import sys
from pathlib import Path
from services.network import load
from services.network.rules_text import version_of

print(version_of(load(Path(sys.argv[1]))))
"""


def test_rules_are_read_again_as_they_were() -> None:
    """Charters, sites, partners and lines, each field; contacts, which name people, and addresses are not kept."""
    network = load(NETWORKS)
    again = read_rules(rules_text(network))
    for part in ("rules_version", "charters", "sites", "lines"):
        assert getattr(again, part) == getattr(network, part)
    no_rules = {"subscription": "amqp", "webhook": None, "clocks": Clocks(), "contact": None, "notify": ()}
    assert again.partners == tuple(partner.model_copy(update=no_rules) for partner in network.partners)
    assert network.contact_sheets
    assert not again.contact_sheets
    assert not any(sheet.name in rules_text(network) for sheet in network.contact_sheets)


def test_a_version_is_the_same_in_each_process() -> None:
    """Sets iterate in an order of each process's own, which must not make a version of it."""

    def told(seed: str) -> str:
        command = [sys.executable, "-c", _VERSION, str(NETWORKS)]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - this very interpreter
        return done.stdout.strip()

    assert told("1") == told("2") == version_of(load(NETWORKS))


def test_what_decides_makes_a_new_version_even_without_a_new_name() -> None:
    """A partner's territory, a line's reason, a charter's end; but not a contact's phone number."""
    network = load(NETWORKS)
    wider = network.partners[-1].model_copy(update={"covers": frozenset({"01", "02"})})
    reworded = network.lines[0].model_copy(update={"reason": "Autre motif."})
    phone = network.contact_sheets[0].model_copy(update={"phone": "01 99 00 00 00"})
    others = [
        replace(network, partners=(*network.partners[:-1], wider)),
        replace(network, lines=(reworded, *network.lines[1:])),
        replace(network, charters=()),
    ]
    versions = {version_of(each) for each in (network, *others)}
    assert len(versions) == 4
    assert {version.partition("+")[0] for version in versions} == {"2026-11"}
    assert version_of(replace(network, contact_sheets=(phone,))) == version_of(network)


def test_rules_kept_by_an_earlier_release_are_still_read() -> None:
    """Whoever changes the network file's schema keeps past rules readable: this file is never rewritten."""
    kept = KEPT.read_text(encoding="utf-8")
    network = read_rules(kept)
    assert (len(network.charters), len(network.sites), len(network.lines)) == (1, 3, 31)
    assert json.loads(rules_text(network)) == json.loads(kept)
