"""Sites' and partners' accounts at the real broker: made once, compared, and left alone where they are right."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pika
import pytest
from pika.exceptions import AMQPConnectionError

from services.chassis import broker, outside, secrets, tls
from services.chassis.management import Definitions, Management, ManagementError, opened
from services.network import accounts, provisioning
from services.network.accounts import Vhosts
from services.network.provisioning import Change
from tests.integration.network.conftest import Ground
from tests.support.house import eventually


def enters(url: str) -> bool:
    """Whether a client gets in."""
    try:
        pika.BlockingConnection(pika.URLParameters(url)).close()
    except AMQPConnectionError:
        return False
    return True


def test_a_second_run_changes_nothing(ground: Ground) -> None:
    """No change is planned, and the passwords of the first run still open."""
    network = ground.network(2, 2)
    made = ground.provision(network)
    assert len(made) == 4
    again = ground.plan(network)
    assert (again.changes, again.parts, again.clashes, again.strangers) == ([], [], [], [])
    assert ground.provision(network) == {}
    assert all(enters(ground.url(account, password)) for account, password in made.items())


def test_of_two_runs_at_once_no_password_is_told_that_does_not_open(ground: Ground) -> None:
    """The one that comes second leaves the first one's accounts as they are, and says whose they are."""
    network = ground.network(1, 1)
    first, second = ground.plan(network), ground.plan(network)
    (made,) = provisioning.apply(ground.api, first)
    assert list(provisioning.apply(ground.api, second)) == [[]]
    assert all(enters(ground.url(each.account, each.password)) for each in made)
    assert second.overtaken == [each.account.user for each in made]
    assert first.overtaken == []


def test_of_a_password_that_another_run_overwrote_nothing_is_told(ground: Ground) -> None:
    """Between what it looked at and what it wrote: read again once written."""

    class Slow(Management):
        """Another run comes in behind each of this one's requests."""

        def load(self, definitions: Definitions) -> None:
            super().load(definitions)
            for user in definitions.get("users", ()):
                super().load({"users": [dict(user) | {"password_hash": secrets.broker_hash("another")}]})

    todo = ground.plan(ground.network(0, 1))
    slow = Slow(ground.rabbit.management_url())
    assert list(provisioning.apply(slow, todo)) == [[]]
    slow.close()
    assert todo.overtaken == [f"partner.{ground.prefix}-partner-0"]


def test_a_password_made_since_the_plan_is_kept(ground: Ground) -> None:
    """An account whose limits are put right, and that somebody rotates meanwhile."""
    network = ground.network(0, 1)
    ((account, _),) = ground.provision(network).items()
    user = next(each for each in ground.api.definitions()["users"] if each["name"] == account.user)
    ground.api.load({"users": [dict(user) | {"limits": {"max-connections": -1}}]})
    todo = ground.plan(network)
    password = provisioning.rotate(ground.api, account).password
    assert list(provisioning.apply(ground.api, todo)) == [[]]
    assert enters(ground.url(account, password))


def test_a_newcomer_is_all_that_changes(ground: Ground) -> None:
    """The others' accounts are not even mentioned."""
    ground.provision(ground.network(1, 1))
    planned = ground.plan(ground.network(1, 2))
    vhost, newcomer = ground.vhosts.partners, f"{ground.prefix}-partner-1"
    assert planned.changes == [
        Change("add", "permission", f"{vhost} partner.{newcomer}"),
        Change("add", "queue", f"{vhost} out.{newcomer}"),
        Change("add", "account", f"partner.{newcomer}"),
    ]
    (account,) = ground.provision(ground.network(1, 2))
    assert account.id == newcomer


def test_a_partner_that_reads_no_queue_gets_no_account(ground: Ground) -> None:
    """Sites get one all the same."""
    made = ground.provision(ground.network(1, 1, subscription="none"))
    assert [account.kind for account in made] == ["site"]


def test_who_left_the_network_is_named_and_left_alone(ground: Ground) -> None:
    """Its password still opens, until somebody revokes it."""
    made = ground.provision(ground.network(1, 2))
    planned = ground.plan(ground.network(1, 1))
    gone = f"{ground.prefix}-partner-1"
    assert planned.strangers == [f"account partner.{gone}", f"queue out.{gone}"]
    assert ground.provision(ground.network(1, 1)) == {}
    (account,) = [each for each in made if each.id == gone]
    assert enters(ground.url(account, made[account]))


def test_what_was_changed_by_hand_is_put_right(ground: Ground) -> None:
    """Rights, limits and tags; the password stays."""
    network = ground.network(1, 1)
    made = ground.provision(network)
    account = next(each for each in made if each.kind == "partner")
    ground.rabbit.permit(account.user, account.vhost)
    ground.rabbit.permit(account.user, ground.vhosts.ingest)
    user = next(each for each in ground.api.definitions()["users"] if each["name"] == account.user)
    ground.api.load({"users": [dict(user) | {"tags": "monitoring", "limits": {"max-connections": -1}}]})
    assert [change[:2] for change in ground.plan(network).changes] == [
        ("change", "permission"),
        ("change", "account"),
        ("remove", "permission"),
    ]
    assert ground.provision(network) == {}
    assert ground.plan(network).changes == []
    rights = [one for one in ground.api.definitions()["permissions"] if one["user"] == account.user]
    assert rights == [account.permission]
    assert enters(ground.url(account, made[account]))


def test_a_queue_of_another_making_is_named_and_left_alone(ground: Ground) -> None:
    """It may hold what nobody else has; everything else is done."""
    vhost, queue = ground.rabbit.add_vhost(ground.vhosts.partners), f"out.{ground.prefix}-partner-0"
    with pika.BlockingConnection(pika.URLParameters(ground.rabbit.url(vhost))) as connection:
        connection.channel().queue_declare(queue, durable=True)
    network = ground.network(1, 1)
    assert len(ground.provision(network)) == 2
    planned = ground.plan(network)
    assert planned.clashes == [f"queue {vhost} {queue}"]
    assert planned.changes == []


def test_services_find_the_queues_as_they_declare_them(ground: Ground) -> None:
    """Whoever comes first: RabbitMQ refuses a queue that exists with other arguments."""
    network = ground.network(1, 1)
    ground.provision(network)
    for vhost, door in ((ground.vhosts.ingest, outside.INGEST), (ground.vhosts.partners, outside.PARTNERS)):
        with broker.connect(ground.rabbit.url(vhost), "test") as connection:
            outside.declare_door(connection, door)
            if door is outside.PARTNERS:
                outside.declare_partner_queues(connection, [partner.id for partner in network.partners])


def test_services_that_come_first_leave_nothing_to_be_mended(ground: Ground) -> None:
    """An installation may run before anybody provisions."""
    network = ground.network(1, 1)
    for vhost, door in ((ground.vhosts.ingest, outside.INGEST), (ground.vhosts.partners, outside.PARTNERS)):
        with broker.connect(ground.rabbit.url(ground.rabbit.add_vhost(vhost)), "test") as connection:
            outside.declare_door(connection, door)
    assert ground.plan(network).clashes == []
    assert "exchange" not in {change.kind for change in ground.plan(network).changes}


def test_an_accounts_connections_and_channels_are_limited(ground: Ground) -> None:
    """A client that runs wild takes nobody else's place."""
    made = ground.provision(ground.network(0, 1))
    ((account, password),) = made.items()
    url = ground.url(account, password)
    held = [pika.BlockingConnection(pika.URLParameters(url)) for _ in range(5)]
    assert not enters(url)
    for connection in held[1:]:
        connection.close()
    for _ in range(20):
        held[0].channel()
    with pytest.raises(AMQPConnectionError, match="20"):
        held[0].channel()


def test_a_full_partners_queue_is_bounded_in_bytes_too(ground: Ground) -> None:
    """By an operator policy, which holds beside the arguments that the services declare."""
    ground.provision(ground.network(0, 1))
    path = f"/queues/{ground.vhosts.partners}/out.{ground.prefix}-partner-0"

    def bounded() -> bool:
        found = ground.rabbit.api("GET", path)
        bound = (found.get("effective_policy_definition") or {}).get("max-length-bytes")
        return bool(bound == outside.PARTNER_BYTES and found["arguments"]["x-max-length"] == 100_000)

    deadline = time.monotonic() + 10
    while not bounded():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_reply_that_nobody_reads_is_gone_after_a_week(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a queue that an earlier provisioning made, too; here after a moment instead of the week."""
    network = ground.network(1, 0)
    (site,) = accounts.accounts(network, ground.vhosts)
    vhost = ground.rabbit.add_vhost(ground.vhosts.ingest)
    ground.api.load({"queues": [site.queue_definition]})
    assert outside.REPLIES_MILLISECONDS == 7 * 24 * 60 * 60 * 1000
    monkeypatch.setattr(outside, "REPLIES_MILLISECONDS", 300)
    ground.provision(network)
    with pika.BlockingConnection(pika.URLParameters(ground.rabbit.url(vhost))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", site.queue, b"{}")
        eventually(lambda: ground.rabbit.api("GET", f"/queues/{vhost}/{site.queue}").get("messages") == 0)
        time.sleep(0.4)
        assert channel.basic_get(site.queue)[0] is None


def test_five_hundred_partners_take_less_than_a_minute(ground: Ground, tell: Callable[[str], None]) -> None:
    """And the second run, which only compares, a moment."""
    network = ground.network(20, 500)
    began = time.monotonic()
    assert len(ground.provision(network)) == 520
    first = time.monotonic() - began
    began = time.monotonic()
    assert ground.plan(network).changes == []
    tell(f"500 partners and 20 sites provisioned in {first:.1f} s; compared again in {time.monotonic() - began:.2f} s")
    assert first < 60


def test_a_password_is_a_new_one_each_time(ground: Ground) -> None:
    """And the old one opens nothing any more."""
    ((account, old),) = ground.provision(ground.network(0, 1)).items()
    new = provisioning.rotate(ground.api, account).password
    assert (enters(ground.url(account, old)), enters(ground.url(account, new))) == (False, True)
    assert ground.plan(ground.network(0, 1)).changes == []


def test_who_is_no_administrator_is_told_so(ground: Ground) -> None:
    """As is who has the wrong password, and who knocks where nobody is."""
    ground.rabbit.add_user("g-reader", "secret", "monitoring")
    no_broker = "http://u:p@127.0.0.1:1"
    wrong = {
        "no administrator": ground.rabbit.management_url("g-reader", "secret"),
        "wrong user or password": ground.rabbit.management_url("g-reader", "other"),
        "cannot be reached": no_broker,
        "RELAIS_AMQP_CA_FILE": ground.rabbit.management_url(tls=True),
    }
    for words, url in wrong.items():
        with opened(url) as api, pytest.raises(ManagementError, match=words) as caught:
            api.definitions()
        assert caught.value.configured == (url != no_broker)
        assert "secret" not in str(caught.value)
        assert "other" not in str(caught.value)
    ground.rabbit.delete_user("g-reader")


def test_the_api_is_reached_through_tls(ground: Ground) -> None:
    """With the authority that the broker's certificate is of."""
    with opened(ground.rabbit.management_url(tls=True), ca_file=ground.rabbit.authority.ca_path) as api:
        assert api.definitions()["users"]


def test_an_account_is_all_it_takes_through_tls(ground: Ground) -> None:
    """An outsider's way in, with its own client."""
    made = ground.provision(ground.network(1, 0))
    ((account, password),) = made.items()
    parameters = pika.URLParameters(ground.url(account, password, tls=True))
    parameters.ssl_options = pika.SSLOptions(tls.context(ground.rabbit.authority.ca_path), "127.0.0.1")
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(account.exchange, "", b"{}", pika.BasicProperties(user_id=account.user))
    (message,) = ground.rabbit.drain(account.vhost, outside.INGEST.queue)
    assert message["payload"] == "{}"


def test_what_relais_secrets_makes_lets_the_provisioner_work(ground: Ground, tmp_path: Path) -> None:
    """The very file that the broker loads at its start, and the account and password in it."""
    secrets.make(tmp_path, Path(__file__).parents[3] / "deploy" / "rabbitmq" / "definitions.json")
    made = json.loads((tmp_path / "rabbitmq-definitions.json").read_text())
    ground.rabbit.load(made)
    password = (tmp_path / "rabbitmq-provisioner").read_text().strip()
    vhosts = Vhosts("relais", "ingest", "partners")
    wanted = accounts.accounts(ground.network(1, 1), vhosts)
    try:
        with opened(ground.rabbit.management_url("provisioner", password)) as api:
            todo = provisioning.plan(api.definitions(), wanted, vhosts)
            assert sum(len(handful) for handful in provisioning.apply(api, todo)) == 2
            assert [api.delete_queue(account.vhost, account.queue) for account in wanted] == [True, True]
            with pytest.raises(ManagementError, match="was refused"):
                api.delete_queue("partners", outside.PARTNERS.queue)
    finally:
        for user in made["users"]:
            ground.rabbit.delete_user(user["name"])
        for vhost in made["vhosts"]:
            ground.rabbit.delete_vhost(vhost["name"])
