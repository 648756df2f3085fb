"""`handmap view`: shows the received hands in a browser. The only module that imports viser."""

import http
import io
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import Any

import numpy as np
import viser
import websockets.asyncio.server

from handmap.client.session import PacketReceiver
from handmap.protocol.fields import MAX_HANDS, MessageType
from handmap.types.errors import ConfigError
from handmap.types.joints import BONES, JOINT_COUNT

from .capsules import Mesh, unit_cylinder, unit_sphere
from .scene import DrawnHand, Readout, drawn_hand
from .web_origin import is_own_origin

WAIT_S = 0.1
TEXT_EVERY_S = 0.2
FAR_AWAY_M = 1000.0  # where the joints of a hidden hand are parked


class HandViewer:
    """A browser page that shows the hands; it survives silence and restarts of the sender."""

    def __init__(self, host: str, port: int, hint: str = "is the daemon running?") -> None:
        _refuse_foreign(host)
        # It logs an error for every connection closed before a request, which browsers and port scanners cause.
        logging.getLogger("websockets").setLevel(logging.CRITICAL)
        # viser prints a banner with addresses of its own
        with redirect_stdout(io.StringIO()), _own_origins_only():
            self._server = viser.ViserServer(host=host, port=port, label="HandMap", verbose=False)
        # The tunnel would make the page public; the request is answered in silence, whoever makes it.
        self._server.request_share_url = lambda verbose=True: None  # type: ignore[method-assign]  # viser has no option for it
        self._server.gui.configure_theme(show_share_button=False)
        self._server.scene.set_up_direction("-y")  # the camera's y points down
        self._server.initial_camera.position = (0.28, -0.22, 0.0)
        self._server.initial_camera.look_at = (0.0, 0.03, 0.32)
        self._server.initial_camera.fov = 0.9  # radians: a hand at half a meter and the camera both fill the page
        self._server.scene.add_frame("/camera", axes_length=0.05, axes_radius=0.002)
        self._server.scene.add_label("/camera/label", "depth camera")
        self._text = self._server.gui.add_markdown("waiting for packets")
        self._hands = [_Hand(self._server, f"/hand_{index}") for index in range(MAX_HANDS)]
        self.readout = Readout(hint)
        self._text_s = 0.0

    @property
    def address(self) -> str:
        """The URL for a browser on this machine; the port is the next free one if the requested one was taken."""
        host = self._server.get_host()
        shown = "localhost" if host in ("0.0.0.0", "127.0.0.1") else host
        return f"http://{shown}:{self._server.get_port()}"

    def step(self, receiver: PacketReceiver) -> None:
        """Waits briefly for a packet, draws it, and updates the text."""
        received = receiver.wait(WAIT_S)
        if received is not None:
            self.readout.saw(received)
            if received.packet.message_type is MessageType.JOINTS:
                self._draw([drawn_hand(hand) for hand in received.packet.hands])
        now_s = time.monotonic()
        if now_s - self._text_s >= TEXT_EVERY_S:
            self._text_s = now_s
            if self.readout.is_silent(time.monotonic_ns()):
                self._draw([])
            self._text.content = self.readout.markdown(receiver.counts, time.monotonic_ns())

    def close(self) -> None:
        """Stops serving."""
        with redirect_stdout(io.StringIO()):  # viser prints a message
            self._server.stop()

    def _draw(self, shapes: list[DrawnHand]) -> None:
        with self._server.atomic():  # so that no browser shows bones of one frame at joints of another
            for index, hand in enumerate(self._hands):
                hand.show(shapes[index] if index < len(shapes) else None)


@contextmanager
def _own_origins_only() -> Iterator[None]:
    """Servers that are started in this block refuse WebSockets that a page of another site opens; viser has no option for it."""
    serve = websockets.asyncio.server.serve

    def guarded(*arguments: Any, process_request: Callable[..., Any], **options: Any) -> Any:
        return serve(*arguments, process_request=partial(_refuse_other_origin, process_request), **options)

    websockets.asyncio.server.serve = guarded  # type: ignore[assignment,misc]  # a drop-in for the time of the block
    try:
        yield
    finally:
        websockets.asyncio.server.serve = serve  # type: ignore[misc]


def _refuse_other_origin(process_request: Callable[..., Any], connection: Any, request: Any) -> Any:
    origins, hosts = (request.headers.get_all(name) for name in ("Origin", "Host"))
    local_host = str(connection.local_address[0])
    if len(origins) > 1 or not is_own_origin(next(iter(origins), None), next(iter(hosts), None), local_host):
        return connection.respond(http.HTTPStatus.FORBIDDEN, "HandMap: a page of another site may not connect\n")
    return process_request(connection, request)


def _refuse_foreign(host: str) -> None:
    """Raises ConfigError for an address that does not belong to this machine: viser would try one port after another forever."""
    try:
        socket.create_server((host, 0)).close()
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"view: the page cannot be served on {host!r:.90} ({error}); pass an address of this machine with --web-host"
        ) from error


class _Hand:
    """The joints and bones of one hand, two nodes of the scene: created once, then moved."""

    def __init__(self, server: viser.ViserServer, name: str) -> None:
        self._is_shown = True
        self._joints = _copies(server, f"{name}/joints", unit_sphere(), JOINT_COUNT)
        self._bones = _copies(server, f"{name}/bones", unit_cylinder(), len(BONES))
        self.show(None)

    def show(self, shape: DrawnHand | None) -> None:
        """Moves the hand there, or hides it."""
        if shape is not None:
            self._joints.batched_positions = shape.joints_m
            self._joints.batched_scales = np.repeat(shape.capsules.joint_radii_m[:, None], 3, axis=1)
            self._joints.batched_colors = shape.colors
            self._bones.batched_positions = shape.capsules.centers_m
            self._bones.batched_wxyzs = shape.capsules.wxyz
            self._bones.batched_scales = shape.capsules.scales_m
            self._bones.batched_colors = shape.capsule_colors
        if (shape is not None) is not self._is_shown:
            self._is_shown = shape is not None
            self._joints.visible = self._bones.visible = self._is_shown


def _copies(server: viser.ViserServer, name: str, mesh: Mesh, count: int) -> Any:
    """One node with so many copies of a mesh of size 1, out of sight until they are placed."""
    upright = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    nowhere = np.full((count, 3), FAR_AWAY_M, np.float32)
    small = np.full((count, 3), 1e-3, np.float32)
    gray = np.full((count, 3), 128, np.uint8)
    return server.scene.add_batched_meshes_simple(
        name, *mesh, upright, nowhere, batched_scales=small, batched_colors=gray, lod="off"
    )
