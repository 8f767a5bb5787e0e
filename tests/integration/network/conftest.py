"""A broker of this test's own, as far as accounts go: fresh vhosts, and ids that nobody else uses."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from services.chassis.management import Management, opened
from services.network import Network, accounts, provisioning
from services.network.accounts import Account, Vhosts
from services.network.provisioning import Credentials, Plan
from services.network.schema import Partner, Site
from tests.support.rabbit import Rabbit

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Ground:
    """Vhosts that are not there yet, the API, and the prefix of this test's ids."""

    rabbit: Rabbit
    api: Management
    vhosts: Vhosts
    prefix: str

    def network(self, sites: int = 1, partners: int = 1, **changes: object) -> Network:
        """A network of so many sites and partners; `changes` are of all the partners."""
        facts = {"kind": "mission-locale", "category": "local", "covers": "all", "basis": "mission"} | changes
        return Network(
            rules_version=None,
            charters=(),
            sites=tuple(
                Site(id=f"{self.prefix}-site-{number}", name="S", commune="80570", label="granted")
                for number in range(sites)
            ),
            partners=tuple(
                Partner.model_validate({"id": f"{self.prefix}-partner-{number}", "name": f"P {number}"} | facts)
                for number in range(partners)
            ),
            lines=(),
            contact_sheets=(),
        )

    def plan(self, network: Network) -> Plan:
        """Compare with what is there now."""
        return provisioning.plan(self.api.definitions(), accounts.accounts(network, self.vhosts), self.vhosts)

    def provision(self, network: Network) -> dict[Account, str]:
        """Do it; the new passwords."""
        made: list[Credentials] = []
        for handful in provisioning.apply(self.api, self.plan(network)):
            made += handful
        return {each.account: each.password for each in made}

    def url(self, account: Account, password: str, *, tls: bool = False) -> str:
        """Where an account connects."""
        return self.rabbit.url(account.vhost, account.user, password, tls=tls)


@pytest.fixture
def ground(rabbit: Rabbit) -> Iterator[Ground]:
    """Lend it, and delete whatever was made."""
    number = next(_NUMBERS)
    vhosts = Vhosts(*(f"ground-{number}-{name}" for name in ("relais", "ingest", "partners")))
    with opened(rabbit.management_url()) as api:
        yield Ground(rabbit, api, vhosts, f"g{number}")
        present = api.definitions()
        for user in present["users"]:
            if user["name"].startswith((f"site.g{number}-", f"partner.g{number}-")):
                api.delete_account(user["name"])
        for vhost in {each["name"] for each in present["vhosts"]} & set(vhosts):
            rabbit.delete_vhost(vhost)
