"""What every call about a case needs."""

from typing import NamedTuple

from services.chassis.app import App
from services.chassis.tokens import Caller
from services.network import Network


class Call(NamedTuple):
    """Who asks, in which trace, with the service's belongings and its network."""

    caller: Caller
    traceparent: str
    app: App
    network: Network
