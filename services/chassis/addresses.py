"""What an address in the settings may look like; no error quotes one, since it may hold a password."""

from ipaddress import ip_address
from urllib.parse import urlsplit

MEMORY_BROKER = "memory://"
LOCAL_HOSTS = {"localhost", "127.0.0.1"}
_LAST_PORT = 65535


def host_and_port(value: str) -> str:
    """`host:port`. Raises ValueError."""
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= _LAST_PORT:
        reason = "expected host:port, such as 127.0.0.1:8001"
        raise ValueError(reason)
    return value


def broker(value: str) -> str:
    """One broker or several nodes of it. Raises ValueError."""
    nodes = [urlsplit(node) for node in value.split(";")]
    # A query would be kombu's options, and could turn the checking of certificates off.
    fine = {node.scheme for node in nodes} in ({"amqp"}, {"amqps"}) and not any(node.query for node in nodes)
    if not value.startswith(MEMORY_BROKER) and not fine:
        reason = (
            "expected amqp:// or amqps://user:password@host/vhost, or one for each node of a cluster, separated by ;"
        )
        raise ValueError(reason)
    return value


def public_broker(value: str) -> str:
    """Where outsiders find the broker. Raises ValueError."""
    parts = urlsplit(value)
    if parts.scheme not in ("amqp", "amqps") or not parts.hostname or parts.username or parts.path not in ("", "/"):
        reason = "expected amqps://host:port, without user and vhost"
        raise ValueError(reason)
    return value.rstrip("/")


def management(value: str) -> str:
    """RabbitMQ’s management API. Raises ValueError."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.username or parts.query:
        reason = "expected https://user:password@host:15671, or http:// on this machine or its own network"
        raise ValueError(reason)
    if parts.scheme == "http" and not _near(parts.hostname):
        reason = "an administrator’s password must not cross a network in the clear: expected https:// for that host"
        raise ValueError(reason)
    return value


def _near(host: str) -> bool:
    """This machine, or a bare name, which only a network of our own knows, such as that of the containers."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host


def postgresql(value: str) -> str:
    """A database. Raises ValueError."""
    if not value.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        reason = "expected postgresql://user:password@host/database"
        raise ValueError(reason)
    return value


def sealed(address: str) -> bool:
    """Whether what is sent there is encrypted, or stays on this very machine."""
    parts = urlsplit(address)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS)
    )


def issuer(value: str) -> str:
    """An OpenID provider. Raises ValueError."""
    if not sealed(value):
        reason = "expected https://…, or http:// on this very machine"
        raise ValueError(reason)
    return value
