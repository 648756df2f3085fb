"""`handmap snapshot` and `handmap doctor --collect` against a running daemon."""

import io
import json
import signal
import stat
import tarfile
from pathlib import Path

import pytest

from handmap.bundle.manifest import Bundle
from handmap.recording.bag import Bag
from handmap.recording.flight_file import FlightFile
from handmap.recording.stated import NOTHING_STATED
from handmap.system.redact import REMOVED, redacted_yaml, without_secrets
from runtime.settings import read_settings
from tests.support.processes import handmap, listening, port_of, started
from tests.support.running import free_port, wait_for
from tests.support.tiny_bundle import write_config

try:
    from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14
except ImportError:
    from backports import zstd


def unpacked(path: Path) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(zstd.decompress(path.read_bytes()))) as archive:
        members = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in members.items() if file is not None}


def test_a_running_daemon_writes_on_request_and_on_a_signal_and_all_of_it_is_collected(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    with listening() as sink:
        port = free_port()
        config = write_config(tmp_path / "c.yaml", bundle.path, recording, port_of(sink), telemetry=port)
        key = tmp_path / "very-secret-place"
        text = config.read_text().replace(
            "publish: {", f"publish: {{control: {{port: {free_port()}}}, key_file: {key}, "
        )
        config.write_text(text + f"flight_recorder: {{folder: {tmp_path / 'shots'}}}\n# password: hunter2\n")
        (tmp_path / "c.d").mkdir()
        (tmp_path / "c.d" / "50-site.yaml").write_text("log: {level: debug}\n# password: hunter2\n")
        key.write_text("5a" * 32)
        key.chmod(0o600)
        with started("run", "--config", config) as process:
            wait_for(port, lambda now: now.flight is not None and now.flight.frames > 5)
            asked = handmap("snapshot", "--config", config, "--out", tmp_path / "copy", "--json")
            file = handmap("snapshot", "--port", str(port), "--out", tmp_path / "copy.mcap")
            process.send_signal(signal.SIGUSR2)
            now = wait_for(port, lambda now: now.flight is not None and now.flight.written == 3)
            status = handmap("status", "--port", str(port))
            collected = handmap("doctor", "--config", config, "--collect", tmp_path / "s.tar.zst", "--snapshot")
    contents = unpacked(tmp_path / "s.tar.zst")

    assert asked.returncode == file.returncode == 0, asked.stderr + file.stderr
    assert json.loads(asked.stdout)["snapshot"] == str(tmp_path / "copy")
    for path in (tmp_path / "copy", tmp_path / "copy.mcap"):
        assert FlightFile(Bag(path, NOTHING_STATED)).about.trigger == "asked"
    assert now.flight is not None and "signal" in now.flight.newest
    assert "recorder  " in status.stdout and "3 written" in status.stdout
    assert "s.tar.zst" in collected.stderr
    assert stat.S_IMODE((tmp_path / "s.tar.zst").stat().st_mode) == 0o600
    assert {
        "config.yaml", "c.d/50-site.yaml", "config_effective.json", "status.json", "metrics.txt", "doctor.txt", "doctor.json", "versions.json",
        "missing.txt",
    } <= set(contents)  # fmt: skip
    assert any(name.endswith(".mcap") for name in contents)
    assert b"bench: it was not asked for" in contents["missing.txt"]
    assert b"handmap_flight_frames" in contents["metrics.txt"]
    for name, content in contents.items():
        if not name.startswith(("doctor", "snapshot/flight")):
            assert b"very-secret-place" not in content and b"hunter2" not in content, name
    assert b"very-secret-place" not in b"".join(content for name, content in contents.items() if "mcap" in name)


def test_what_is_not_there_is_named_and_the_rest_is_collected(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("bundle: [\n")
    answer = handmap("doctor", "--config", tmp_path / "c.yaml", "--collect", tmp_path / "s.tar.zst")
    contents = unpacked(tmp_path / "s.tar.zst")
    missing = contents["missing.txt"].decode()

    assert answer.returncode == 1
    assert "configuration: it is not YAML" in missing and "effective configuration: " in missing
    assert {"doctor.txt", "versions.json"} <= set(contents)


def test_a_bundle_for_support_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = handmap("doctor", "--collect", tmp_path / "file" / "s.tar.zst")

    assert answer.returncode == 78 and "cannot be written" in answer.stderr and "Traceback" not in answer.stderr


@pytest.mark.parametrize("option", ["--snapshot", "--bench"])
def test_what_adds_to_a_bundle_needs_one(option: str) -> None:
    answer = handmap("doctor", option)

    assert answer.returncode == 78 and "--collect" in answer.stderr


def test_nobody_to_ask_is_one_sentence() -> None:
    answer = handmap("snapshot", "--port", str(free_port()))

    assert answer.returncode == 1 and "no daemon" in answer.stderr


def test_secrets_are_removed_by_their_marks(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 5656)
    config.write_text(config.read_text().replace("publish: {", "publish: {control: {}, key_credential: mine, "))
    plain = without_secrets(read_settings(config))

    assert plain["publish"]["key_credential"] == REMOVED and plain["publish"]["key_file"] is None
    assert plain["camera"]["kind"] == "replay" and plain["camera"]["path"] == str(recording)


def test_secrets_of_unknown_keys_are_removed_from_yaml() -> None:
    text = "camera: {kind: other, password: p4ss, list: [{api_token: t0k}]}\npublish:\n  key_file: |\n    many\n    lines\n# c0mment\n"
    redacted = redacted_yaml(text)

    assert not any(word in redacted for word in ("p4ss", "t0k", "many", "lines", "c0mment"))
    assert "kind: other" in redacted
