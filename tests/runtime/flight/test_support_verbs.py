"""`handmap snapshot` and `handmap doctor --collect` against a running daemon."""

import io
import json
import signal
import stat
import tarfile
from pathlib import Path

import msgspec
import pytest

from handmap.bundle.manifest import Bundle
from handmap.recording.bag import Bag
from handmap.recording.flight_file import FlightFile
from handmap.recording.stated import NOTHING_STATED
from handmap.system.redact import REMOVED, redacted_yaml, without_secrets
from runtime.ask_daemon import ask_page
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


def test_a_key_is_in_no_file_of_a_bundle_wherever_it_was_put(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    key, password = "5a" * 32, "h0nter2"
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 5656)
    (tmp_path / "c.d").mkdir()
    for name, text in (
        ("10.yaml", f"publish: {{control: {{}}, key_file: '{key}'}}\n"), ("20.yaml", f"{key}\n"), ("30.yaml", f"{key}: 1\n"),
        ("40.yaml", f"publish: 'key {key}'\n"), ("50.yaml", f"a: {{psk: {password}, url: 'rtsp://me:{password}@cam'}}\n"),
        ("60.yml", f"pwd: {password}\n"),
    ):  # fmt: skip
        (tmp_path / "c.d" / name).write_text(text)
        handmap("doctor", "--config", config, "--collect", tmp_path / f"{name}.tar.zst")
        contents = unpacked(tmp_path / f"{name}.tar.zst")
        assert f"c.d/{name}" in contents
        for file, content in contents.items():
            assert key[:40].encode() not in content and password.encode() not in content, (name, file)
        if not name.startswith("1"):
            (tmp_path / "c.d" / name).unlink()


def test_another_daemons_facts_are_not_collected(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    with listening() as sink:
        port = free_port()
        config = write_config(tmp_path / "c.yaml", bundle.path, recording, port_of(sink), telemetry=port)
        other = write_config(tmp_path / "other.yaml", bundle.path, recording, port_of(sink), telemetry=port)
        broken = tmp_path / "c.d" / "20.yaml"
        with started("run", "--config", config):
            wait_for(port, lambda now: now.uptime_s > 0)
            handmap("doctor", "--config", other, "--collect", tmp_path / "other.tar.zst", "--snapshot")
            broken.parent.mkdir()
            broken.write_text("trackng: {}\n")
            (tmp_path / "c.d" / "10.yaml").write_text("a: [\n")
            handmap("doctor", "--config", config, "--collect", tmp_path / "own.tar.zst")
    theirs, own = unpacked(tmp_path / "other.tar.zst"), unpacked(tmp_path / "own.tar.zst")

    assert not {"status.json", "metrics.txt"} & set(theirs)
    assert theirs["missing.txt"].decode().count("uses configuration") == 3
    assert {"status.json", "metrics.txt", "c.d/20.yaml"} <= set(own), "the daemon runs on with what it had"
    assert "drop-in c.d/10.yaml: it is not YAML" in own["missing.txt"].decode()


def test_a_daemon_that_records_nothing_says_so_everywhere(tmp_path: Path, bundle: Bundle, recording: Path) -> None:
    with listening() as sink:
        port = free_port()
        config = write_config(tmp_path / "c.yaml", bundle.path, recording, port_of(sink), telemetry=port)
        config.write_text(config.read_text() + "flight_recorder: {enabled: false}\n")
        with started("run", "--config", config):
            now = wait_for(port, lambda now: now.published > 5)
            asked = handmap("snapshot", "--port", str(port))
            metrics = ask_page(port, "/metrics").decode()

    assert now.flight is None and "handmap_frames_published_total" in metrics
    assert "handmap_flight" not in metrics and "handmap_snapshots" not in metrics
    assert asked.returncode == 1 and "flight_recorder.enabled" in asked.stderr


@pytest.mark.parametrize(("name", "found"), [("n.txt", "ends in .tar.zst"), ("there.tar.zst", "already")])
def test_a_bundle_for_support_replaces_nothing(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / name).write_text("notes")

    answer = handmap("doctor", "--collect", tmp_path / name)

    assert answer.returncode == 78 and found in answer.stderr and not answer.stdout
    assert (tmp_path / name).read_text() == "notes"


def test_an_output_that_is_taken_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "there.mcap").write_text("")
    answer = handmap("snapshot", "--port", str(free_port()), "--out", tmp_path / "there.mcap")

    assert answer.returncode == 78 and "already" in answer.stderr


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


class OthersCamera(msgspec.Struct):
    """A camera of another package, with fields that it does not mark."""

    password: str | None = "h0nter2"
    url: str = "rtsp://me:h0nter2@cam/1"
    options: dict[str, str] = msgspec.field(default_factory=lambda: {"api_token": "h0nter2", "mode": "near"})
    pin_key: str | None = None


def test_secrets_that_nobody_marked_are_removed_by_their_names() -> None:
    plain = without_secrets(OthersCamera())

    assert plain["options"] == {"api_token": REMOVED, "mode": "near"}
    assert plain["password"] == REMOVED and plain["pin_key"] is None and plain["url"] == f"rtsp://{REMOVED}@cam/1"


def test_secrets_of_unknown_keys_are_removed_from_yaml() -> None:
    text = "camera: {kind: other, password: p4ss, list: [{api_token: t0k}]}\npublish:\n  key_file: |\n    many\n    lines\n# c0mment\n"
    redacted = redacted_yaml(text)

    assert not any(word in redacted for word in ("p4ss", "t0k", "many", "lines", "c0mment"))
    assert "kind: other" in redacted
