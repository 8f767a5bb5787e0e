"""TLS at the real broker, with the deployed file's settings and real certificates: who refuses whom."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from services.chassis import broker, tls
from services.chassis.certificates import new_authority, new_certificate
from tests.support.certificates import Authority
from tests.support.rabbit import Rabbit


def shake_hands(rabbit: Rabbit, context: ssl.SSLContext, host: str = "127.0.0.1") -> str | None:
    """Open a connection as any TLS client would; the version agreed on."""
    with (
        socket.create_connection((host, rabbit.tls_port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        return wrapped.version()


def old(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Make a client that speaks this version and no other; today's OpenSSL must be talked into it."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


@pytest.fixture
def url(rabbit: Rabbit, vhosts: Callable[[], str]) -> str:
    """Give the TLS address of a fresh vhost, trusting the broker's authority."""
    return tls.trusting(rabbit.url(vhosts(), tls=True), rabbit.authority.ca_path)


def test_a_client_that_trusts_us_gets_in(url: str) -> None:
    """And what it publishes is confirmed, large batches included."""
    with broker.connect(url, "test") as connection, connection.channel() as channel:
        assert connection.connection.sock.version() == "TLSv1.3"
        channel.queue_declare("kept", durable=True, auto_delete=False)
        broker.Publisher(connection).publish(
            broker.Message("", "kept", "x" * 900, "text/plain", "Happened") for _ in range(5000)
        )
        assert channel.queue_declare("kept", passive=True).message_count == 5000


def test_a_client_that_does_not_trust_our_authority_refuses_us(rabbit: Rabbit, tmp_path: Path) -> None:
    """Knowing no authority but the system's, or another one of the very same name."""
    for ca_file in (None, Authority(tmp_path).ca_path):
        url = tls.trusting(rabbit.url(tls=True), ca_file)
        with pytest.raises(ssl.SSLCertVerificationError), broker.connect(url, "test"):
            pass
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(rabbit, tls.context(ca_file))


def test_a_client_that_meant_another_host_refuses_us(rabbit: Rabbit) -> None:
    """The certificate is genuine, and another's: somebody stands between."""
    url = rabbit.url(tls=True).replace("127.0.0.1", "127.0.0.2")
    with (
        pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for '127\.0\.0\.2'"),
        broker.connect(tls.trusting(url, rabbit.authority.ca_path), "test"),
    ):
        pass


def test_of_a_cluster_each_node_answers_for_its_own_name(rabbit: Rabbit) -> None:
    """The name of the first must not be asked of the second."""
    good = rabbit.url(tls=True)
    url = tls.trusting(f"{good.replace('127.0.0.1', '127.0.0.2')};{good}", rabbit.authority.ca_path)
    with broker.connect(url, "test") as connection:
        assert connection.hostname == "127.0.0.1"


def test_plain_text_at_the_tls_port_is_refused(rabbit: Rabbit) -> None:
    """At once, whatever was meant to be said."""
    plain = rabbit.url().replace(f":{rabbit.port}/", f":{rabbit.tls_port}/")
    with pytest.raises(broker.BROKER_ERRORS), broker.connect(plain, "test"):
        pass
    with socket.create_connection(("127.0.0.1", rabbit.tls_port), timeout=5) as said:
        said.sendall(b"AMQP\x00\x00\x09\x01")
        answer = said.recv(64)
    assert b"AMQP" not in answer
    assert answer[:1] in (b"", b"\x15")  # the end, or a TLS alert


def test_tls_at_the_plain_port_is_no_connection(rabbit: Rabbit) -> None:
    """Rather than one that falls back to plain text."""
    url = rabbit.url(tls=True).replace(f":{rabbit.tls_port}/", f":{rabbit.port}/")
    with pytest.raises(broker.BROKER_ERRORS), broker.connect(tls.trusting(url, rabbit.authority.ca_path), "test"):
        pass


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(rabbit: Rabbit, version: ssl.TLSVersion) -> None:
    """By the server: the client here would take them."""
    context = old(ssl.create_default_context(cafile=rabbit.authority.ca_path), version)
    with pytest.raises(ssl.SSLError, match=r"ALERT_PROTOCOL_VERSION|PROTOCOL_VERSION"):
        shake_hands(rabbit, context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_versions_are_served(rabbit: Rabbit, version: ssl.TLSVersion) -> None:
    """Both: there are clients that know no 1.3 yet."""
    context = tls.context(rabbit.authority.ca_path)
    context.minimum_version = context.maximum_version = version
    assert shake_hands(rabbit, context) == version.name.replace("_", ".")


def test_a_certificate_is_for_a_name() -> None:
    """And signed by an authority whose key is at hand."""
    authority, key = new_authority()
    with pytest.raises(ValueError, match="for a name"):
        new_certificate(authority, key, [])
    with pytest.raises(ValueError, match="PEM"):
        new_certificate(authority, "no key", ["localhost"])
