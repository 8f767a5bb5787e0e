"""Whom we trust on the way to the broker: its certificate and its name are checked, whatever the library's default.

py-amqp would look at neither unless told to, or at the certificate and not at the name; so an address carries what it
takes, and whoever connects need not think of it.
"""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

_TLS = "amqps"


def context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust these authorities, or the system's; TLS 1.2 at least. Raises OSError where the file holds none."""
    made = ssl.create_default_context(cafile=ca_file)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made


def trusting(url: str, ca_file: Path | None) -> str:
    """The address with what `taken_apart` needs; of a cluster, of each node. Plain ones stay as they are."""
    return ";".join(_trusting(node, ca_file) for node in url.split(";"))


def taken_apart(url: str) -> tuple[str, dict[str, Any] | None]:
    """Addresses as kombu takes them, and its `ssl`; none for plain ones.

    py-amqp makes its context of `context`. kombu fills `server_hostname` in while it is None.
    """
    nodes = [urlsplit(node) for node in url.split(";")]
    if not any(node.scheme == _TLS for node in nodes):
        return url, None
    ca_file = next(iter(parse_qs(nodes[0].query).get("ca_file", ())), None)
    options = {"check_hostname": True, "cafile": ca_file}
    return ";".join(urlunsplit(node._replace(query="")) for node in nodes), {
        "context": options,
        "server_hostname": None,
    }


def _trusting(node: str, ca_file: Path | None) -> str:
    parts = urlsplit(node)
    if parts.scheme != _TLS or ca_file is None:
        return node
    return urlunsplit(parts._replace(query=f"ca_file={quote(str(ca_file.absolute()), safe='')}"))
