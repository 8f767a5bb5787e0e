"""Who is of the network: the organisations that a role may speak for, and the pages where their people log in."""

from services.chassis.login import WebWithLogin
from services.chassis.provider import Provided
from services.chassis.settings import Settings
from services.chassis.tokens import Role
from services.network.loading import load
from services.network.schema import Network


def organisations(network: Network, role: Role) -> list[str] | None:
    """Whom a role may speak for; None: anybody."""
    sites = [site.id for site in network.sites]
    by_role = {
        "site": sites,
        "agent": sites,
        "partner": [partner.id for partner in network.partners],
        "steering": [charter.id for charter in network.charters] + sites,
    }
    return by_role.get(role)


def partner_queues(settings: Settings) -> list[str]:
    """The partners who subscribed by AMQP."""
    return [partner.id for partner in load(settings.network).partners if partner.subscription == "amqp"]


def partner_webhooks(settings: Settings) -> dict[str, str]:
    """Where those receive who subscribed by webhook."""
    return {partner.id: partner.webhook for partner in load(settings.network).partners if partner.webhook}


class WebForMembers(WebWithLogin):
    """Base of a service whose pages are for people of the network."""

    network: Network = Provided(lambda settings: load(settings.network))

    def knows(self, role: Role, org: str) -> bool:
        """Whether the network files know the organisation for this role."""
        known = organisations(self.network, role)
        return known is not None and org in known
