"""The receiving end of the wire, for programs that use hands: packets in order, and hands that are held, relaxed and taken up again.

    from handmap.client import HandState, receive

docs/client.md has examples.
"""

from handmap.client.asynchronous import receive_async
from handmap.client.hand_state import HandState, HandTiming, HeldHand, Phase
from handmap.client.receiver import Receiver, open_receiver, receive, subscribe
from handmap.client.session import Received, StreamCounts
from handmap.protocol.authentication import KeyRing, read_keys

__all__ = [
    "receive", "receive_async", "subscribe", "open_receiver", "Receiver", "Received", "StreamCounts",
    "HandState", "HandTiming", "HeldHand", "Phase", "KeyRing", "read_keys",
]  # fmt: skip
