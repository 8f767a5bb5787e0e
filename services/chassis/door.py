"""nameko's entrypoint for what outsiders write to the broker (`services.chassis.outside`): the way in besides HTTP.

Who wrote is what RabbitMQ vouches for, the property `user-id`. A message is acknowledged when its effect is committed
and its reply is with the broker: whatever comes again in between has no effect the second time, and the same reply.

A bug loses nothing: as over HTTP, the writer is told (500), has the message still, and sends it again. Kept here for a
later try, a visit's names would lie in clear among the failures, and its site would not know what became of it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import kombu

from services.chassis import broker, consumer, logs, outside
from services.chassis.consumer import Consumer
from services.chassis.errors import Rejected, Unavailable
from services.chassis.letters import Letter, Reply
from services.chassis.provider import app_of
from services.chassis.tokens import Caller, Role
from services.contracts.free_text import holds_nir

FAILED = Rejected(
    "internal",
    "Erreur de notre côté\u00a0; elle est consignée. Renvoyez le même message plus tard\u00a0:"
    " il ne compte qu’une fois.",
    status=500,
)
_ID = re.compile(r"[a-z0-9-]{1,64}")
# Bytes. The broker closes the channel on what is larger than its own limit, and nothing would ever be acknowledged.
LONGEST_REPLY = 256 * 1024
_LONGEST_NAME = 255  # bytes: what AMQP has room for

log = logs.get(__name__)


class Receiver(Consumer):
    """Receives what one kind of outsider writes; the method below it is given letters, and returns a reply for each.

    It gets up to `at_once` of them. If it raises, it is given them one by one, and one that fails alone once more with
    a `problem`: that it must not fail at.
    """

    def __init__(self, door: outside.Door, *, role: Role, at_once: int = consumer.PREFETCH, **options: Any) -> None:  # noqa: ANN401 - nameko's
        self.door, self.role, self.at_once = door, role, at_once
        super().__init__(**options)

    def start(self) -> None:
        """Called by nameko once everything is set up. The in-memory broker has no outside."""
        settings = app_of(self.container).settings
        url = {outside.INGEST: settings.ingest_url, outside.PARTNERS: settings.partners_url}[self.door]
        if url:
            self.open(url, outside.door_queue(self.door))

    def declare(self, connection: kombu.Connection) -> None:
        """The door; the queues of replies are provisioned with the accounts, and go with them."""
        outside.declare_door(connection, self.door)
        self._publisher = broker.Publisher(connection, self._tell_blocked)

    def handle_first(self, connection: kombu.Connection, arrived: Sequence[kombu.Message]) -> int:
        """Up to `at_once` messages."""
        first = arrived[: self.at_once]
        self._handle(connection, [(message, self._letter(message)) for message in first])
        return len(first)

    def handle_returned(self, connection: kombu.Connection, message: kombu.Message, deliveries: int) -> None:
        """What ended the process again and again is refused unread; if that ends it, too, it is dropped."""
        letter = self._letter(message)
        if letter and deliveries >= 2 * consumer.DELIVERIES:
            log.error("message dropped", queue=self.queue.name, sender=letter.caller.org, deliveries=deliveries)
            self._count("dropped")
            return
        if letter and deliveries >= consumer.DELIVERIES:
            log.error("message refused unread", queue=self.queue.name, sender=letter.caller.org, deliveries=deliveries)
            letter = replace(letter, body=b"", problem=FAILED)
        self._handle(connection, [(message, letter)])

    def _handle(self, connection: kombu.Connection, pairs: Sequence[tuple[kombu.Message, Letter | None]]) -> None:
        """Returns once every effect is committed and every reply confirmed. Raises one of AWAY."""
        written = [(message, letter) for message, letter in pairs if letter]
        letters = [letter for _, letter in written]
        replies = self._patiently(connection, partial(self._answer_briefly, letters)) if letters else []
        self._send((*pair, reply) for pair, reply in zip(written, replies, strict=True))
        for reply in replies:
            self._count(reply.outcome)
        if nobodys := len(pairs) - len(written):
            log.warning("message of nobody", queue=self.queue.name, number=nobodys)
            self._count("nobody", nobodys)

    def _letter(self, message: kombu.Message) -> Letter | None:
        """None for what is not of an account of this door's kind."""
        account = message.properties.get("user_id") or ""
        kind, _, org = account.partition(".")
        if kind != self.role or not _ID.fullmatch(org):
            return None
        traceparent = self.app.ids.trace_of((message.headers or {}).get("traceparent"))
        return Letter(Caller(self.role, org, account), message.body, traceparent, self._problem(message))

    def _problem(self, message: kombu.Message) -> Rejected | None:
        limit = self.app.settings.max_body_bytes
        if (message.content_type or "").partition(";")[0].strip().lower() != "application/json":
            return Rejected("unsupported-media-type", "Le corps doit être de type application/json.", status=415)
        if len(message.body) > limit:
            return Rejected("too-large", f"Le corps dépasse {limit} octets.", status=413)
        return None

    def _answer_briefly(self, letters: Sequence[Letter]) -> Sequence[Reply]:
        """Where a reply is too long, that of a failure. Raises Unavailable."""
        pairs = zip(letters, self._answer(letters), strict=True)
        return [self._instead(letter) if _too_long(reply) else reply for letter, reply in pairs]

    def _instead(self, letter: Letter) -> Reply:
        log.error("reply too long", queue=self.queue.name, sender=letter.caller.org)
        reply: Reply
        (reply,) = self._call([replace(letter, problem=FAILED)])
        return replace(reply, body=None) if _too_long(reply) else reply

    def _answer(self, letters: Sequence[Letter]) -> Sequence[Reply]:
        """All together; if that fails, one at a time. Raises Unavailable."""
        if len(letters) > 1:
            try:
                together: Sequence[Reply] = self._call(letters)
            except Unavailable:
                raise
            except Exception:  # noqa: BLE001 - any bug of a handler: each alone will tell whose
                log.debug("batch failed", queue=self.queue.name)
            else:
                return together
        return [self._answer_alone(letter) for letter in letters]

    def _answer_alone(self, letter: Letter) -> Reply:
        reply: Reply
        try:
            (reply,) = self._call([letter])
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - any bug of a handler: said in the log, and to the writer that it was
            facts = {"queue": self.queue.name, "sender": letter.caller.org, "reason": logs.reason_of(error)}
            log.error("message failed", **facts)  # noqa: TRY400 - a traceback may quote data
            (reply,) = self._call([replace(letter, problem=FAILED)])
        return reply

    def _send(self, answered: Iterable[tuple[kombu.Message, Letter, Reply]]) -> None:
        """To the queue of each writer; a queue that is missing is told in the log. Raises one of AWAY."""
        self._publisher.publish((_addressed(*each) for each in answered if each[2].body is not None), self._hold)
        if lost := sorted(set(self._publisher.returned)):
            log.warning("no queue", queues=lost)

    def _hold(self) -> None:
        if self._stopping:
            raise broker.NotConfirmed("told to stop while the broker takes nothing")

    def _tell_blocked(self, blocked: bool) -> None:  # noqa: FBT001 - the publisher calls it so
        if blocked:
            self.app.blocked.add(self.queue.name)
            log.warning("broker blocks publishers", service=self.app.service, queue=self.queue.name)
        else:
            self.app.blocked.discard(self.queue.name)
            log.info("broker takes messages again", service=self.app.service, queue=self.queue.name)

    def _tell_paused(self, error: Exception) -> None:
        self.app.blocked.discard(self.queue.name)
        super()._tell_paused(error)

    def _count(self, outcome: str, number: int = 1) -> None:
        help_ = "Messages of outsiders."
        self.app.metrics.count("relais_door_messages", help_, number, service=self.app.service, outcome=outcome)


def _too_long(reply: Reply) -> bool:
    return reply.body is not None and len(reply.body.encode()) > LONGEST_REPLY


def _addressed(message: kombu.Message, letter: Letter, reply: Reply) -> broker.Message:
    """A reply with the names that the writer gave its message."""
    names = {}
    for name in ("correlation_id", "message_id"):
        text = message.properties.get(name)
        # Of broken UTF-8 each byte became three.
        fit = text and len(text.encode(errors="surrogatepass")) <= _LONGEST_NAME and not holds_nir(text)
        names[name] = text if fit else None
    queue = outside.replies_queue(letter.caller.org)
    return broker.Message("", queue, reply.body or "", reply.content_type, None, **names)


receive: Callable[..., Callable[[Any], Any]] = Receiver.decorator
