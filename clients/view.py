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

from handmap.protocol.fields import MAX_HANDS, MessageType
from handmap.types.errors import ConfigError

from .receive import Receiver
from .scene import DrawnHand, Readout, drawn_hand
from .web_origin import is_own_origin

WAIT_S = 0.1
TEXT_EVERY_S = 0.2
JOINT_RADIUS_M = 0.006
BONE_THICKNESS_M = 0.004
FAR_AWAY_M = 1000.0  # where the joints of a hidden hand are parked


class HandViewer:
    """A browser page that shows the hands; it survives silence and restarts of the sender."""

    def __init__(self, host: str, port: int) -> None:
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
        self.readout = Readout()
        self._text_s = 0.0

    @property
    def address(self) -> str:
        """The URL for a browser on this machine; the port is the next free one if the requested one was taken."""
        host = self._server.get_host()
        shown = "localhost" if host in ("0.0.0.0", "127.0.0.1") else host
        return f"http://{shown}:{self._server.get_port()}"

    def step(self, receiver: Receiver) -> None:
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
    """The spheres and lines of one hand, created once and then moved."""

    def __init__(self, server: viser.ViserServer, name: str) -> None:
        nowhere = np.full((21, 3), FAR_AWAY_M, np.float32)
        vertices, faces = octahedron_sphere(JOINT_RADIUS_M)
        upright = np.tile(np.array([1, 0, 0, 0], np.float32), (21, 1))
        self._is_shown = True
        self._joints: Any = server.scene.add_batched_meshes_simple(
            f"{name}/joints", vertices, faces, upright, nowhere, batched_colors=np.full((21, 3), 128, np.uint8)
        )
        self._bones: Any = server.scene.add_line_segments(
            f"{name}/bones", np.zeros((20, 2, 3), np.float32), (90, 90, 90), thickness=BONE_THICKNESS_M
        )
        self.show(None)

    def show(self, shape: DrawnHand | None) -> None:
        """Moves the hand there, or hides it."""
        if shape is not None:
            self._joints.batched_positions = shape.joints_m
            self._joints.batched_colors = shape.colors
            self._bones.points = shape.bones_m
        if (shape is not None) is not self._is_shown:
            self._is_shown = shape is not None
            self._joints.visible = self._bones.visible = self._is_shown


def octahedron_sphere(radius_m: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Vertices (V, 3) and faces (F, 3) of a sphere: an octahedron, each face split into four twice."""
    vertices = [(1.0, 0, 0), (-1.0, 0, 0), (0, 1.0, 0), (0, -1.0, 0), (0, 0, 1.0), (0, 0, -1.0)]
    faces = [(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)]
    points = np.array(vertices, np.float32)[np.array(faces)]  # (F, 3, 3)
    for _ in range(2):
        a, b, c = points[:, 0], points[:, 1], points[:, 2]
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        points = np.concatenate([np.stack(quarter, axis=1) for quarter in quarters])
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    corners = points.reshape(-1, 3)
    return (corners * radius_m).astype(np.float32), np.arange(len(corners), dtype=np.uint32).reshape(-1, 3)
