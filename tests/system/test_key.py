"""A key handed over as a systemd credential, as docs/security.md has it: with it packets come, without it none."""

import json

from tests.system.conftest import CONFIG
from tests.system.container import Container, until

KEY = "/etc/handmap/handmap.key"
DROP_IN = f"[Service]\nLoadCredential=handmap.key:{KEY}\n"
PUBLISH = "publish: {targets: [{host: 127.0.0.1, port: 5656}], control: {}, key_credential: handmap.key}"


def received(machine: Container, *options: str) -> dict[str, object]:
    """What `handmap listen` says of three seconds of packets, received by subscription."""
    done = machine.run("handmap", "listen", "--from", "127.0.0.1", "--seconds", "3", "--stats", "--json", *options)
    facts: dict[str, object] = json.loads(done.stdout)
    return facts


def test_the_service_reads_its_key_as_a_credential_and_packets_need_it(fresh_machine: Container) -> None:
    fresh_machine.run("sh", "-c", f"umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n' > {KEY}")
    fresh_machine.run("sh", "-c", "umask 077; printf %064d 7 > /root/other.key")
    fresh_machine.write(
        "/etc/handmap/config.yaml", CONFIG.replace("publish: {targets: [{host: 127.0.0.1, port: 5656}]}", PUBLISH)
    )
    fresh_machine.drop_in("handmap.service", DROP_IN)
    fresh_machine.systemctl("daemon-reload")
    fresh_machine.systemctl("restart", "handmap")
    until(lambda: fresh_machine.show("handmap", "StatusText") == "TRACKING", "it tracks with its key", 120)

    with_key, without, other = (
        received(fresh_machine, "--key", KEY),
        received(fresh_machine),
        received(fresh_machine, "--key", "/root/other.key"),
    )

    assert isinstance(with_key["frames"], int) and with_key["frames"] > 20 and with_key["refused"] == 0
    assert (without["frames"], other["frames"]) == (0, 0)
