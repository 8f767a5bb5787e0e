"""What a network's sites and partners should have at the broker, before any broker is asked."""

import re

import pytest

from services.chassis import outside
from services.contracts.codes import Category
from services.network import Network, accounts
from services.network.accounts import Account, BadName, Vhosts
from services.network.schema import Partner, Site

VHOSTS = Vhosts("relais", "ingest", "partners")


SITE = Site(id="fs", name="S", commune="80570", label="granted")
PARTNER = Partner(id="p", kind="k", category=Category.LOCAL, name="P", covers="all", basis="mission")


def partner(id_: str, subscription: str = "amqp") -> Partner:
    """Make a partner without checking it, as a careless loader would."""
    return PARTNER.model_copy(update={"id": id_, "subscription": subscription})


def network(sites: tuple[str, ...] = (), partners: tuple[Partner, ...] = ()) -> Network:
    """Make a network of these and nothing else."""
    made = tuple(SITE.model_copy(update={"id": id_}) for id_ in sites)
    return Network(None, (), made, partners, (), ())


def test_each_site_and_each_partner_with_a_queue_has_an_account() -> None:
    """A partner by webhook, or by the page alone, has none."""
    found = accounts.accounts(
        network(("fs-moreuil",), (partner("ml"), partner("caf", "webhook"), partner("cpam", "none"))), VHOSTS
    )
    assert found == [Account("site", "fs-moreuil", "ingest"), Account("partner", "ml", "partners")]


def test_a_site_writes_visits_and_reads_its_replies() -> None:
    """To the letter, and nothing else."""
    site = Account("site", "fs-moreuil", "ingest")
    assert site.permission == {
        "user": "site.fs-moreuil",
        "vhost": "ingest",
        "configure": "^$",
        "write": r"^visits\.in$",
        "read": r"^replies\.fs-moreuil$",
    }


def test_a_partner_writes_answers_and_reads_its_queue() -> None:
    """To the letter, and nothing else."""
    found = Account("partner", "ml-santerre", "partners")
    assert found.permission == {
        "user": "partner.ml-santerre",
        "vhost": "partners",
        "configure": "^$",
        "write": "^answers$",
        "read": r"^out\.ml-santerre$",
    }


@pytest.mark.parametrize("name", ["out.ml", "visits.in", "replies.fs-moreuil"])
def test_a_right_is_to_one_name(name: str) -> None:
    """Nothing longer, nothing shorter, and no other character where a dot is."""
    right = re.compile(accounts.exactly(name))
    assert right.search(name)
    for other in (f"{name}-2", f"x{name}", name.replace(".", "x"), name.replace(".", ""), name[:-1], name.upper()):
        assert not right.search(other)


@pytest.mark.parametrize(
    "id_", ["", ".*", "a.b", "a|b", "ml$", "ml\n", "ml ", "Ml", "é", "a" * 65, "^", "a\x00", "a/b", "a%2Fb", "[a-z]"]
)
def test_an_id_that_could_mean_more_is_refused(id_: str) -> None:
    """Whoever wrote it, and wherever it stands."""
    with pytest.raises(BadName):
        accounts.accounts(network((id_,)), VHOSTS)
    with pytest.raises(BadName):
        accounts.accounts(network((), (partner(id_),)), VHOSTS)
    with pytest.raises(BadName) as caught:
        accounts.account("site", id_, VHOSTS)
    assert not id_.strip("a") or id_ not in str(caught.value)


def test_an_account_has_no_tag_and_few_connections() -> None:
    """A tag would let it see the management API, or send in another's name."""
    definition = Account("site", "fs", "ingest").definition("of its password")
    assert definition["tags"] == ""
    assert definition["limits"] == {"max-connections": 5, "max-channels": 20}


def test_queues_are_those_that_services_declare() -> None:
    """Else RabbitMQ would refuse the second of the two."""
    common = {queue["name"]: queue["arguments"] for queue in accounts.common(VHOSTS)["queues"]}
    for door in (outside.INGEST, outside.PARTNERS):
        assert common[door.queue] == outside.door_queue(door).queue_arguments
    assert Account("partner", "ml", "partners").queue_definition["arguments"] == outside.PARTNER_ARGUMENTS


@pytest.mark.parametrize("arguments", [outside.PARTNER_ARGUMENTS, outside.REPLIES_ARGUMENTS, outside.DOOR_ARGUMENTS])
def test_every_queue_of_outsiders_ends_somewhere(arguments: dict[str, object]) -> None:
    """A queue without a bound fills the disk, and then nobody publishes any more."""
    assert {"x-max-length", "x-overflow", "x-delivery-limit"} <= set(arguments)
    assert arguments["x-queue-type"] == "quorum"


def test_what_comes_in_is_refused_rather_than_dropped() -> None:
    """A visit that was confirmed is there."""
    assert outside.DOOR_ARGUMENTS["x-overflow"] == "reject-publish"


def test_each_door_is_in_its_vhost_and_bound() -> None:
    """Under the names of the settings."""
    common = accounts.common(Vhosts("a", "b", "c"))
    assert [vhost["name"] for vhost in common["vhosts"]] == ["a", "b", "c"]
    bound = [(one["vhost"], one["source"], one["destination"]) for one in common["bindings"]]
    assert bound == [("b", "visits.in", "intake.visits"), ("c", "answers", "referral.answers")]


def test_whose_account_a_name_is() -> None:
    """Services' names have no dot, and other dots are other people's."""
    names = ["site.fs-moreuil", "partner.ml", "intake", "mayor.x", "site.", "site.a.b", "partner.A"]
    assert list(accounts.of_outsiders(names)) == [("site", "fs-moreuil"), ("partner", "ml")]
