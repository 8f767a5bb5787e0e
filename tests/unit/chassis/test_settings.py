"""The environment is checked when the process starts."""

from datetime import timedelta
from pathlib import Path

import pytest

from services.chassis.settings import BadSettings, Settings, described, load_settings

# A bad value for each variable that can be wrong by itself; `secret` marks what must not be repeated.
BAD = {
    "RELAIS_AMQP_URL": "http://user:secret@host/",
    "RELAIS_AMQP_URL_PARTNERS": "secret@host",
    "RELAIS_AMQP_CA_FILE": "/nowhere/secret.pem",
    "RELAIS_AMQP_MANAGEMENT_URL": "amqp://user:secret@host",
    "RELAIS_AMQP_MANAGEMENT_PASSWORD_FILE": "/nowhere/secret",
    "RELAIS_AMQP_PUBLIC_URL": "amqps://user:secret@host",
    "RELAIS_DATABASE_URL_INTAKE": "mysql://user:secret@host/x",
    "RELAIS_DATABASE_URL_ORIENTATION": "secret",
    "RELAIS_DATABASE_URL_REFERRAL": "",
    "RELAIS_DATABASE_URL_REPORTING": "sqlite:///secret",
    "RELAIS_INTAKE_HTTP": "8001",
    "RELAIS_ORIENTATION_HTTP": "127.0.0.1:0",
    "RELAIS_REFERRAL_HTTP": "127.0.0.1:65536",
    "RELAIS_REPORTING_HTTP": "127.0.0.1:http",
    "RELAIS_OIDC_ISSUER": "http://secret.example",
    "RELAIS_SMTP_URL": "smtp://user:secret@host",
    "RELAIS_SMTP_PASSWORD_FILE": "/nowhere/secret",
    "RELAIS_MAIL_FROM": "Secret <secret>",
    "RELAIS_MAX_BODY_BYTES": "0",
    "RELAIS_BATCH_SIZE": "1001",
    "RELAIS_LEDGER_DAYS": "731",
    "RELAIS_PARKED_DAYS": "0",
    "RELAIS_LOG_LEVEL": "loud",
    "RELAIS_LOG_FORMAT": "xml",
}


@pytest.mark.parametrize(("variable", "value"), BAD.items(), ids=BAD)
def test_a_bad_value_is_told_by_the_variables_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """One line, with a reason, and without the value, which may hold a password."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadSettings) as caught:
        load_settings()
    (line,) = str(caught.value).splitlines()
    name, _, reason = line.partition(": ")
    assert name == variable
    assert reason
    assert "secret" not in line


@pytest.mark.parametrize("delays", ["", "1,,2", "0", "-1", "1;2", "soon", "nan", "inf", "1e300"])
def test_delays_are_positive_and_end(monkeypatch: pytest.MonkeyPatch, delays: str) -> None:
    """An endless delay would only fail when the first event does."""
    monkeypatch.setenv("RELAIS_RETRY_DELAYS", delays)
    with pytest.raises(BadSettings, match=r"^RELAIS_RETRY_DELAYS: .*expected seconds separated by commas"):
        load_settings()


def test_each_of_several_bad_values_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to start six times to find six mistakes."""
    for variable, value in BAD.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(BadSettings) as caught:
        load_settings()
    assert {line.partition(":")[0] for line in str(caught.value).splitlines()} == set(BAD)


def test_without_an_environment_everything_is_embedded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No broker, no database, nothing of ours is wrong by default."""
    for variable in BAD:
        monkeypatch.delenv(variable, raising=False)
    settings = load_settings()
    assert settings.in_memory
    assert settings.partners_url is None
    assert settings.ingest_url is None
    assert settings.database_url("intake") is None
    assert settings.delays == [1, 5, 30, 120, 600]
    assert Settings(state=tmp_path).state == tmp_path


@pytest.mark.parametrize("ledger", [1, 400, 730])
@pytest.mark.parametrize("parked", [1, 90, 365])
@pytest.mark.parametrize("delays", ["1", "86400,86400,2592000"])
def test_the_inbox_remembers_for_as_long_as_an_event_may_come_again(ledger: int, parked: int, delays: str) -> None:
    """Replayed on its last day in the ledger, a month in a queue, tried for long, and replayed on its last day parked.

    Whatever is configured: there is no setting by which the inbox could forget earlier.
    """
    settings = Settings(ledger_days=ledger, parked_days=parked, retry_delays=delays)
    tried = timedelta(seconds=sum(settings.delays))
    assert settings.inbox_time == timedelta(days=ledger) + timedelta(days=30) + tried + timedelta(days=parked)
    assert not [name for name, _, _ in described() if "INBOX" in name]


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_database_url_names_the_driver_whatever_the_operator_wrote(scheme: str) -> None:
    """Both usual spellings and SQLAlchemy's own are one and the same."""
    settings = Settings(database_url_intake=f"{scheme}://u:p@h/d")
    assert settings.database_url("intake") == "postgresql+psycopg://u:p@h/d"


def test_the_outsiders_vhosts_are_beside_the_internal_one() -> None:
    """Same host and account, another vhost; unless told otherwise. Of a cluster each node's."""
    inside = "amqp://u:p@h:5672/relais"
    assert Settings(amqp_url=inside).partners_url == "amqp://u:p@h:5672/partners"
    assert Settings(amqp_url=inside, amqp_url_partners="amqp://v@h2/out").partners_url == "amqp://v@h2/out"
    assert Settings(amqp_url="amqp://a/x;amqp://b/x").ingest_url == "amqp://a/ingest;amqp://b/ingest"
    assert Settings(amqp_url=inside, amqp_url_ingest="amqp://v@h2/in").ingest_url == "amqp://v@h2/in"


@pytest.mark.parametrize("missing", ["RELAIS_OIDC_CLIENT_ID", "RELAIS_OIDC_CLIENT_SECRET_FILE"])
def test_a_provider_is_named_whole(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """With its client and its secret, or not at all."""
    for name in ("RELAIS_OIDC_CLIENT_ID", "RELAIS_OIDC_CLIENT_SECRET_FILE"):
        monkeypatch.setenv(name, "a")
    load_settings()
    monkeypatch.setenv("RELAIS_OIDC_ISSUER", "http://localhost:3000")
    load_settings()
    monkeypatch.delenv(missing)
    with pytest.raises(BadSettings, match=rf"^{missing}: .*must be set where RELAIS_OIDC_ISSUER is$"):
        load_settings()


@pytest.mark.parametrize(
    "url", ["smtp://host/secret", "https://secret", "smtp://", "smtp://host:secret", "smtps://host?secret", "smtp://[h"]
)
def test_what_is_no_mail_server(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Only where it is and who logs in; the rest is not repeated."""
    monkeypatch.setenv("RELAIS_SMTP_URL", url)
    with pytest.raises(BadSettings, match=r"^RELAIS_SMTP_URL: .*expected smtp://") as caught:
        load_settings()
    assert "secret" not in str(caught.value).lower()


def test_a_mail_server_is_named_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the address that mails come from, and with a password where it names a user."""
    told = r"^RELAIS_{}: .*must be set where RELAIS_SMTP_URL is"
    monkeypatch.setenv("RELAIS_SMTP_URL", "smtp://localhost")
    with pytest.raises(BadSettings, match=told.format("MAIL_FROM")):
        load_settings()
    monkeypatch.setenv("RELAIS_MAIL_FROM", "relais@poste.example")
    load_settings()
    monkeypatch.setenv("RELAIS_SMTP_URL", "smtps://relais%40poste.example@poste.example")
    with pytest.raises(BadSettings, match=told.format("SMTP_PASSWORD_FILE")):
        load_settings()
    (tmp_path / "password").write_text("x", encoding="utf-8")
    monkeypatch.setenv("RELAIS_SMTP_PASSWORD_FILE", str(tmp_path / "password"))
    load_settings()


def test_a_public_url_takes_the_name_or_the_port_of_each_service() -> None:
    """One origin behind a reverse proxy, or one port each."""
    one = Settings(public_url="https://relais.example/{service}/")
    assert one.url("intake") == "https://relais.example/intake"
    each = Settings(public_url="https://relais.example:{port}/", intake_http="0.0.0.0:9001")
    assert each.url("intake") == "https://relais.example:9001"
    assert Settings(public_url="https://relais.example/").url("reporting") == "https://relais.example"
    assert Settings(intake_http="127.0.0.1:9001").url("intake") == "http://127.0.0.1:9001"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "rabbitmq"])
def test_an_administrator_may_be_named_in_the_clear_nearby(host: str) -> None:
    """On this machine, or by a name that only a network of containers knows; anywhere by TLS."""
    assert Settings(amqp_management_url=f"http://user:p@{host}:15672").amqp_management_url
    assert Settings(amqp_management_url="https://user:p@broker.example:15671").amqp_management_url


@pytest.mark.parametrize("host", ["broker.example", "10.0.0.4", "[fd00::1]", "localhost.example", "127.0.0.1.example"])
def test_an_administrators_password_does_not_leave_in_the_clear(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """It opens every vhost."""
    monkeypatch.setenv("RELAIS_AMQP_MANAGEMENT_URL", f"http://user:secret@{host}:15672")
    with pytest.raises(BadSettings, match=r"^RELAIS_AMQP_MANAGEMENT_URL: .*expected https://") as caught:
        load_settings()
    assert "secret" not in str(caught.value)
