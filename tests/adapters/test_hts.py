"""hand-tracking-sdk reads what `handmap bridge hts` sends: its parser, its frames, its conversion, its client."""

import importlib
import socket
import threading
import time
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from clients.hts import hts_datagrams
from handmap.types.joints import HAND21
from tests.support.adapter_checks import check_hts_hand
from tests.support.doc_examples import command_of, python_of, run_bridge
from tests.support.processes import free_port
from tests.support.wire_hands import SAMPLE_NS, golden_rows, moment, seen

sdk = pytest.importorskip("hand_tracking_sdk", reason="hand-tracking-sdk is not installed")
convert = importlib.import_module("hand_tracking_sdk.convert")


def test_parser_and_frames_of_every_golden_hand() -> None:
    for row in golden_rows():
        (datagram,) = hts_datagrams(moment(seen(row)), 12)
        assembler = sdk.HandFrameAssembler()
        frames = [assembler.push_line(line) for line in datagram.decode().splitlines()]

        frame = frames[-1]
        wrist = [getattr(frame.wrist, name) for name in ("x", "y", "z", "qx", "qy", "qz", "qw")]
        check_hts_hand(frame.side.value, wrist, [list(point) for point in frame.landmarks.points], row)
        assert (frame.source_ts_ns, frame.source_frame_seq) == (SAMPLE_NS, 12)
        # The SDK's right-handed space is our camera frame.
        ours = convert.convert_hand_frame_unity_left_to_right(frame).wrist
        npt.assert_allclose([ours.x, ours.y, ours.z], np.array(row["hand21_mm"][0]) / 1000, atol=2e-6)


def test_joints_have_its_names() -> None:
    names = [name.value for name in sdk.JointName]

    parts = {"mcp": "Proximal", "pip": "Intermediate", "dip": "Distal", "tip": "Tip"}
    thumb = {"cmc": "Metacarpal", "mcp": "Proximal", "ip": "Distal", "tip": "Tip"}
    ours = ["Wrist"]
    for name in HAND21[1:]:
        finger, part = name.split("_")
        ours.append(finger.capitalize() + (thumb if finger == "thumb" else parts)[part])
    assert names == ours


def test_its_client_receives_both_hands() -> None:
    rows = [row for row in golden_rows() if (row["pose"], row["turn"]) == ("natural", "tilted")]
    port = free_port()
    client = sdk.HTSClient(
        sdk.HTSClientConfig(host="127.0.0.1", port=port, output=sdk.StreamOutput.FRAMES, timeout_s=0.2)
    )
    events = client.iter_events()
    sides: set[str] = set()
    end_s = time.monotonic() + 30
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        stop = threading.Event()

        def send() -> None:
            while not stop.wait(0.02):
                for datagram in hts_datagrams(moment(*map(seen, rows)), 1):
                    out.sendto(datagram, ("127.0.0.1", port))

        sender = threading.Thread(target=send)
        sender.start()
        try:
            while len(sides) < 2 and time.monotonic() < end_s:
                sides.add(next(events).side.value)
        finally:
            stop.set()
            sender.join()

    assert sides == {"Left", "Right"}


def test_the_example_of_the_page(tmp_path: Path) -> None:
    port = free_port()
    printed: list[str] = []
    names = {"print": lambda *words: printed.append(" ".join(map(str, words)))}
    receiver = threading.Thread(target=exec, args=(python_of("hand-tracking-sdk").replace("9000", str(port)), names))
    receiver.start()
    time.sleep(0.3)

    run_bridge([*command_of("hand-tracking-sdk")[:-1], f"127.0.0.1:{port}"], 1.0, tmp_path)

    receiver.join(10)
    assert not receiver.is_alive()
    assert "Right WristPose" in "\n".join(printed)
