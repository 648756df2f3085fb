"""One daemon's control port, as a receiver uses it: clock offset, proof of its stream, subscription and facts. No socket is here."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from handmap.client.clock_offset import ClockOffset, Exchange
from handmap.protocol.authentication import KeyRing
from handmap.protocol.control import NO_TOKEN, ControlMessage, encode_control
from handmap.protocol.fields import ControlStatus, ControlType
from handmap.protocol.info import DaemonInfo, decode_info
from handmap.system.resolve import Address

FIRST_PINGS: Final = 8
FIRST_PING_NS: Final = 50_000_000
PING_NS: Final = 100_000_000
UNANSWERED_PINGS: Final = 20  # then it is asked less often
SLOW_PING_NS: Final = 2_000_000_000
ASK_AGAIN_NS: Final = 100_000_000  # so often that a lease is renewed even while the port is flooded
MAX_PENDING: Final = 16
PENDING_NS: Final = 2_000_000_000  # an answer later than that says little about the clock, and nothing about now
FULL_AGAIN_NS: Final = 1_000_000_000
RENEW_NS: Final = (
    2_000_000_000  # at the latest: a daemon that was told to open its port again has forgotten its subscribers
)
ANSWER_OF: Final = {
    ControlType.PONG: (ControlType.PING,),
    ControlType.SUBSCRIBED: (ControlType.SUBSCRIBE, ControlType.UNSUBSCRIBE),
    ControlType.INFO: (ControlType.INFO_REQUEST,),
}


@dataclass(frozen=True)
class _Question:
    kind: ControlType
    asked_ns: int


class Peer:
    """What is known of a daemon from its answers, and what to ask it next; all times are CLOCK_MONOTONIC ns here.

    With lease_s it is asked for packets for so long at a time.
    """

    def __init__(self, address: Address, keys: KeyRing | None = None, lease_s: int | None = None) -> None:
        self.address = address
        self.clock = ClockOffset()
        self.info: DaemonInfo | None = None
        self.stream_id: int | None = None  # of the newest PONG: proven to be live
        self.problem = ""  # why there is no subscription
        self._keys = keys
        self._lease_s = lease_s
        self._token = NO_TOKEN
        self._pending: OrderedDict[int, _Question] = OrderedDict()
        self._pings = 0
        self._unanswered = 0
        self._ping_at_ns = 0
        self._subscribe_at_ns = 0
        self._info_at_ns = 0

    def due(self, now_ns: int) -> list[bytes]:
        """The datagrams to send now."""
        kinds = [ControlType.PING] if now_ns >= self._ping_at_ns else []
        can_ask = self._can_ask
        if can_ask and self._lease_s is not None and now_ns >= self._subscribe_at_ns:
            kinds.append(ControlType.SUBSCRIBE)
            self._subscribe_at_ns = now_ns + ASK_AGAIN_NS
        if can_ask and self.info is None and now_ns >= self._info_at_ns:
            kinds.append(ControlType.INFO_REQUEST)
            self._info_at_ns = now_ns + ASK_AGAIN_NS
        if ControlType.PING in kinds:
            self._plan_ping(now_ns)
        return [self._question(kind, now_ns) for kind in kinds]

    @property
    def next_ns(self) -> int:
        """When something is due next, at the latest."""
        waits = [self._ping_at_ns]
        if self._can_ask and self._lease_s is not None:
            waits.append(self._subscribe_at_ns)
        if self._can_ask and self.info is None:
            waits.append(self._info_at_ns)
        return min(waits)

    @property
    def _can_ask(self) -> bool:
        """Whether there is a token, and a daemon that answers."""
        return self._token != NO_TOKEN and self._unanswered <= UNANSWERED_PINGS

    def prove(self, now_ns: int) -> None:
        """Brings the next ping forward, for a stream that has not been proven yet."""
        self._ping_at_ns = min(self._ping_at_ns, max(now_ns, self._ping_at_ns - PING_NS + FIRST_PING_NS))
        self._unanswered = min(self._unanswered, UNANSWERED_PINGS - 1)

    def handle(self, message: ControlMessage, now_ns: int) -> bool:
        """Takes in an answer; false for one that answers no question of ours."""
        question = self._pending.pop(message.nonce, None)
        if question is None or question.kind not in ANSWER_OF.get(message.message_type, ()):
            return False
        if now_ns - question.asked_ns > PENDING_NS:
            return False
        if message.message_type is ControlType.PONG:
            self._handle_pong(message, question, now_ns)
        elif message.status is ControlStatus.BAD_TOKEN:
            self._token = NO_TOKEN
            self._ping_at_ns = now_ns
        elif message.message_type is ControlType.SUBSCRIBED:
            self._handle_lease(message, now_ns)
        else:
            self.info = decode_info(message.info)
        return True

    def goodbye(self, now_ns: int) -> bytes | None:
        """The datagram that ends the subscription, if there is one."""
        if self._lease_s is None or self._token == NO_TOKEN:
            return None
        return self._question(ControlType.UNSUBSCRIBE, now_ns)

    def _handle_pong(self, message: ControlMessage, question: _Question, now_ns: int) -> None:
        if self.stream_id != message.stream_id:  # another process: its facts and its subscribers are new
            self.stream_id, self.info, self._subscribe_at_ns = message.stream_id, None, 0
        self._token = message.token
        self._unanswered = 0
        self.clock.add(Exchange(question.asked_ns, message.received_ns, message.sent_ns, now_ns))

    def _handle_lease(self, message: ControlMessage, now_ns: int) -> None:
        if message.status is ControlStatus.FULL:
            self.problem = "the daemon has as many subscribers as publish.control.max_subscribers allows"
            self._subscribe_at_ns = now_ns + FULL_AGAIN_NS
        else:
            self.problem = ""
            self._subscribe_at_ns = now_ns + max(min(message.lease_s * 10**9 // 3, RENEW_NS), ASK_AGAIN_NS)

    def _plan_ping(self, now_ns: int) -> None:
        self._pings += 1
        self._unanswered += 1
        wait_ns = FIRST_PING_NS if self._pings <= FIRST_PINGS else PING_NS
        if self._unanswered > UNANSWERED_PINGS:
            wait_ns = SLOW_PING_NS
        self._ping_at_ns = now_ns + wait_ns

    def _question(self, kind: ControlType, now_ns: int) -> bytes:
        nonce = secrets.randbits(64)
        self._pending[nonce] = _Question(kind, now_ns)
        while len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)
        token = NO_TOKEN if kind is ControlType.PING else self._token
        lease_s = self._lease_s or 0 if kind is ControlType.SUBSCRIBE else 0
        return encode_control(ControlMessage(kind, nonce, lease_s=lease_s, token=token, client_ns=now_ns), self._keys)
