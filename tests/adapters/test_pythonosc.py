"""python-osc reads what `handmap bridge vmc` sends."""

import threading
import time
from pathlib import Path

import pytest

from clients.vmc import vmc_datagrams
from tests.support.adapter_checks import check_vmc_hand
from tests.support.doc_examples import command_of, python_of, run_bridge
from tests.support.processes import free_port
from tests.support.wire_hands import golden_rows, moment, seen

osc_bundle = pytest.importorskip("pythonosc.osc_bundle", reason="python-osc is not installed")


def messages(datagram: bytes) -> list[tuple[str, list[object]]]:
    bundle = osc_bundle.OscBundle(datagram)
    return [(message.address, list(message.params)) for message in bundle]


def test_bones_and_tracker_of_every_golden_hand() -> None:
    for row in golden_rows():
        status, hand = vmc_datagrams(moment(seen(row)))

        assert messages(status) == [("/VMC/Ext/OK", [1, 3, 0, 1]), ("/VMC/Ext/T", [5.0])]
        check_vmc_hand(messages(hand), row)


def test_its_server_takes_the_datagrams_apart() -> None:
    """Its dispatcher calls a handler for every bone of both hands."""
    dispatcher = pytest.importorskip("pythonosc.dispatcher")
    rows = [row for row in golden_rows() if (row["pose"], row["turn"]) == ("natural", "tilted")]
    bones: list[str] = []
    table = dispatcher.Dispatcher()
    table.map("/VMC/Ext/Bone/Pos", lambda _, name, *pose: bones.append(name))

    for datagram in vmc_datagrams(moment(*map(seen, rows))):
        table.call_handlers_for_packet(datagram, ("127.0.0.1", 39539))

    assert len(bones) == 30 and len(set(bones)) == 30


def test_the_example_of_the_page(tmp_path: Path) -> None:
    port = free_port()
    printed: list[str] = []
    names = {"print": lambda *words: printed.append(" ".join(map(str, words)))}
    receiver = threading.Thread(target=exec, args=(python_of("VMC").replace("39539", str(port)), names))
    receiver.start()
    time.sleep(0.3)

    run_bridge([*command_of("VMC")[:-1], f"127.0.0.1:{port}"], 1.0, tmp_path)

    receiver.join(10)
    assert not receiver.is_alive()
    assert "LeftIndexProximal" in "\n".join(printed)
