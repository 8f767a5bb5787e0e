"""Configuration: environment variables prefixed `RELAIS_`, validated when the process starts."""

import os
import shlex
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, EmailStr, Field, FilePath, ValidationError, ValidationInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.chassis import addresses, tls
from services.chassis.addresses import MEMORY_BROKER
from services.contracts.topology import SERVICES

_LONGEST_DELAY = 30 * 24 * 3600
# Longer than a consumer stays away while its queue fills.
_QUEUED_DAYS = 30
_ROOT = Path(__file__).parents[2]


def _positive_delays(value: str) -> str:
    reason = "expected seconds separated by commas, such as 1,5,30"
    try:
        fine = all(0 < float(part) <= _LONGEST_DELAY for part in value.split(","))
    except ValueError:
        fine = False
    if not fine:
        raise ValueError(reason)
    return value


def _authorities(value: Path) -> Path:
    try:
        tls.context(value)
    except OSError as error:
        reason = f"no certificates can be read there: {type(error).__name__}"
        raise ValueError(reason) from None
    return value


def _with_issuer(value: object, info: ValidationInfo) -> object:
    if value is None and info.data.get("oidc_issuer"):
        reason = "must be set where RELAIS_OIDC_ISSUER is"
        raise ValueError(reason)
    return value


def _smtp(value: str) -> str:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises where it is no number
    except ValueError:
        parts = urlsplit("")
    fine = parts.scheme in ("smtp", "smtps") and parts.hostname and not (parts.path.strip("/") or parts.query)
    if not fine or parts.password is not None:
        reason = "expected smtp://user@host:587 or smtps://user@host:465; the password is in a file"
        raise ValueError(reason)
    return value


def _with_smtp(value: object, info: ValidationInfo) -> object:
    url = info.data.get("smtp_url")
    if value is None and url and (info.field_name == "mail_from" or urlsplit(url).username):
        reason = "must be set where RELAIS_SMTP_URL is, the password where it names a user"
        raise ValueError(reason)
    return value


def _without_file(value: str | None, info: ValidationInfo) -> str | None:
    if value is not None:
        if info.data.get("master_key_file"):
            reason = "cannot be set where RELAIS_MASTER_KEY_FILE is"
            raise ValueError(reason)
        try:
            fine = bool(shlex.split(value))
        except ValueError:
            fine = False
        if not fine:
            reason = "expected a program and its arguments, quoted as a shell would have them"
            raise ValueError(reason)
    return value


Address = Annotated[str, AfterValidator(addresses.host_and_port)]
BrokerUrl = Annotated[str, AfterValidator(addresses.broker)]
DatabaseUrl = Annotated[str, AfterValidator(addresses.postgresql)]


def default_state() -> Path:
    """Where the embedded mode keeps its data; for root a folder whose parents are open to all already."""
    if os.geteuid() == 0:
        return Path("/var/lib/relais")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "relais"


class Settings(BaseSettings):
    """Every setting, with its default; `docs/configuration.md` is generated from the descriptions."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_", extra="ignore", hide_input_in_errors=True)

    state: Path = Field(
        default_factory=default_state,
        description="Folder of the embedded mode's data and keys. Default: `~/.local/state/relais`, or"
        " `$XDG_STATE_HOME/relais`; for root `/var/lib/relais`.",
    )
    network: Path = Field(default=_ROOT / "deploy" / "networks", description="Network file, or folder of them.")
    amqp_url: BrokerUrl | None = Field(
        None,
        description="RabbitMQ, vhost `relais`: amqp://user:password@host/relais, or amqps:// for TLS; of a cluster, one"
        " for each node, separated by `;`. Default: in-memory broker.",
    )
    amqp_url_ingest: BrokerUrl | None = Field(None, description="Default: `RELAIS_AMQP_URL` with vhost `ingest`.")
    amqp_url_partners: BrokerUrl | None = Field(None, description="Default: `RELAIS_AMQP_URL` with vhost `partners`.")
    amqp_ca_file: Annotated[Path, AfterValidator(_authorities)] | None = Field(
        None,
        description="Certificates (PEM) of the authorities that the broker is trusted by where its address is amqps://"
        " or https://. Default: the system’s.",
    )
    amqp_management_url: Annotated[str, AfterValidator(addresses.management)] | None = Field(
        None,
        description="RabbitMQ’s management API, for `relais partners`: https://user:password@host:15671, or http:// for"
        " this machine and for a host’s bare name, as in a network of containers; the user is an administrator.",
    )
    amqp_management_password_file: FilePath | None = Field(
        None, description="That user’s password, where the address has none."
    )
    amqp_public_url: Annotated[str, AfterValidator(addresses.public_broker)] | None = Field(
        None,
        description="Where sites and partners reach the broker, for the addresses that `relais partners` prints:"
        " amqps://host:port. Default: the host and port of `RELAIS_AMQP_URL`.",
    )
    database_url_intake: DatabaseUrl | None = Field(None, description="postgresql://… Default: embedded PostgreSQL.")
    database_url_orientation: DatabaseUrl | None = Field(None, description="As above.")
    database_url_referral: DatabaseUrl | None = Field(None, description="As above.")
    database_url_reporting: DatabaseUrl | None = Field(None, description="As above.")
    intake_http: Address = Field("127.0.0.1:8001", description="host:port that intake listens on.")
    orientation_http: Address = Field("127.0.0.1:8002", description="As above.")
    referral_http: Address = Field("127.0.0.1:8003", description="As above.")
    reporting_http: Address = Field("127.0.0.1:8004", description="As above.")
    public_url: str | None = Field(
        None,
        description="Address under which others reach the services, for links and `dataschema`:"
        " `https://relais.example/{service}` behind a reverse proxy, or with `{port}` where each service is reached on"
        " its own port.",
    )
    jwks: str | None = Field(None, description="File or URL of the keys that sign tokens. Default: our own key's.")
    jwt_issuer: str = Field("relais", description="`iss` that tokens must carry.")
    jwt_audience: str = Field("relais", description="`aud` that tokens must carry.")
    oidc_issuer: Annotated[str, AfterValidator(addresses.issuer)] | None = Field(
        None, description="OpenID provider by which people log in, beside invitations: its issuer, as it writes it."
    )
    oidc_client_id: Annotated[str | None, AfterValidator(_with_issuer)] = Field(
        None, validate_default=True, description="What the provider calls Relais."
    )
    oidc_client_secret_file: Annotated[Path | None, AfterValidator(_with_issuer)] = Field(
        None, validate_default=True, description="The secret that the provider gave to Relais."
    )
    oidc_name: str = Field("votre compte professionnel", description="After « Se connecter avec » on the login page.")
    oidc_scope: str = Field(
        "openid", description="What is asked of the provider: `openid` and whatever brings the claims."
    )
    oidc_role_claim: str = Field("relais_role", description="Claim that holds the role.")
    oidc_org_claim: str = Field("relais_org", description="Claim that holds the id of the site or partner.")
    signing_key_file: Path | None = Field(
        None, description="Private JWK that `relais token` signs with. Default: made under `RELAIS_STATE`."
    )
    reader_key_file: Path | None = Field(
        None,
        description="Private JWK by which reporting’s pages ask intake for a story as their reader, its public half in"
        " `RELAIS_JWKS` under `readers`. Default: as `RELAIS_SIGNING_KEY_FILE`; none where `RELAIS_JWKS` is set.",
    )
    master_key_file: Path | None = Field(
        None,
        description="Master keys, 32 random bytes in base64 a line: the first wraps every case key, the others still"
        " open what they wrapped. Default: made under `RELAIS_STATE`.",
    )
    master_key_command: Annotated[str | None, AfterValidator(_without_file)] = Field(
        None,
        description="Instead of that file, a command line, run without a shell, that prints such lines: a key"
        " management service’s own client.",
    )
    max_body_bytes: int = Field(65536, gt=0, description="Largest request body, except for batches.")
    batch_size: int = Field(1000, gt=0, le=1000, description="Events in one transaction, about, under a backlog.")
    retry_delays: Annotated[str, NoDecode, AfterValidator(_positive_delays)] = Field(
        "1,5,30,120,600", description="Seconds before each new try of a failing event; then it is parked."
    )
    webhook_delays: Annotated[str, NoDecode, AfterValidator(_positive_delays)] = Field(
        "5,25,90,480,1200,1800,3600,7200,14400,14400,21600,21600",
        description="Seconds between the tries of a webhook that fails, 24 hours in all; then it waits for somebody.",
    )
    ledger_days: int = Field(
        400,
        ge=1,
        le=730,
        description="How long published events are kept: what partners page through, what `relais replay` sends."
        " The same for all services.",
    )
    parked_days: int = Field(
        90, ge=1, le=365, description="How long a parked event waits for somebody. The same for all services."
    )
    erasures_file: Path | None = Field(
        None,
        description="Journal of what was erased, apart from the databases and their backups: a restored backup is made"
        " to forget by it. One for all replicas of intake. Default: `erasures` under `RELAIS_STATE`.",
    )
    erasure_hours: float = Field(
        24,
        ge=0,
        le=8760,
        description="How long the news that a case is erased is kept for services that are away, as is what makes their"
        " counts fit together. The same for all services.",
    )
    smtp_url: Annotated[str, AfterValidator(_smtp)] | None = Field(
        None,
        description="Mail server for notices to partners: smtp://user@host:587 (STARTTLS, but for localhost and"
        " 127.0.0.1) or smtps://user@host:465. Default: no mail is sent.",
    )
    smtp_password_file: Annotated[FilePath | None, AfterValidator(_with_smtp)] = Field(
        None, validate_default=True, description="That user’s password."
    )
    mail_from: Annotated[EmailStr | None, AfterValidator(_with_smtp)] = Field(
        None, validate_default=True, description="Address that these mails come from."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="`auto`: console on a terminal.")

    @property
    def delays(self) -> list[float]:
        """`retry_delays` in seconds."""
        return [float(part) for part in self.retry_delays.split(",")]

    @property
    def webhook_tries(self) -> list[timedelta]:
        """`webhook_delays` as times."""
        return [timedelta(seconds=float(part)) for part in self.webhook_delays.split(",")]

    @property
    def inbox_time(self) -> timedelta:
        """How long a handled event is remembered: as long as it can come again.

        That is: sent again from a ledger on its last day there, waiting in a queue, tried and tried, parked, and
        replayed by an operator on its last day there.
        """
        return timedelta(days=self.ledger_days + _QUEUED_DAYS + self.parked_days, seconds=sum(self.delays))

    @property
    def broker_url(self) -> str:
        """The internal broker."""
        return tls.trusting(self.amqp_url or MEMORY_BROKER, self.amqp_ca_file)

    @property
    def in_memory(self) -> bool:
        """Whether the broker is this very process."""
        return self.broker_url.startswith(MEMORY_BROKER)

    @property
    def partners_url(self) -> str | None:
        """The partners' vhost; none with the in-memory broker, which no partner can reach."""
        return None if self.in_memory else self._outside(self.amqp_url_partners, "partners")

    @property
    def ingest_url(self) -> str | None:
        """The sites' vhost; none with the in-memory broker, which no site can reach."""
        return None if self.in_memory else self._outside(self.amqp_url_ingest, "ingest")

    def _outside(self, given: str | None, vhost: str) -> str:
        nodes = (urlunsplit(urlsplit(node)._replace(path=f"/{vhost}")) for node in self.broker_url.split(";"))
        return tls.trusting(given or ";".join(nodes), self.amqp_ca_file)

    def database_url(self, service: str) -> str | None:
        """Where a service's database is, for SQLAlchemy with psycopg; none: embedded."""
        url: str | None = getattr(self, f"database_url_{service}")
        for prefix in ("postgresql://", "postgres://"):
            if url and url.startswith(prefix):
                return "postgresql+psycopg://" + url.removeprefix(prefix)
        return url

    def address(self, service: str) -> str:
        """host:port of a service's HTTP."""
        address: str = getattr(self, f"{service}_http")
        return address

    def url(self, service: str) -> str:
        """Address under which others reach a service: an origin, and a path where one serves several."""
        return self._urls[service]

    @cached_property
    def _urls(self) -> dict[str, str]:
        ports = {service: self.address(service).rpartition(":")[2] for service in SERVICES}
        given = self.public_url or ""
        return {
            service: (
                given.replace("{port}", port).replace("{service}", service) or f"http://{self.address(service)}"
            ).rstrip("/")
            for service, port in ports.items()
        }


def described() -> list[tuple[str, str, str]]:
    """(variable, default, what it is) of every setting; no default where the description tells it."""
    rows = []
    for name, setting in Settings.model_fields.items():
        default = setting.default if setting.default_factory is None else None
        if isinstance(default, Path):
            default = default.relative_to(_ROOT)
        rows.append((f"RELAIS_{name.upper()}", "" if default is None else str(default), setting.description or ""))
    return rows


class BadSettings(Exception):
    """The environment is wrong; each line names a variable and the reason."""


def load_settings() -> Settings:
    """Settings from the environment; raises BadSettings."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"RELAIS_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise BadSettings("\n".join(lines)) from None


__all__ = ["MEMORY_BROKER", "SERVICES", "BadSettings", "Settings", "described", "load_settings"]
