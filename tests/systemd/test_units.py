"""The files of systemd/ as far as they can be checked without root: syntax, exposure, and consistency with each other and the code."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from handmap.types.errors import EXIT_CONFIG
from runtime.cameras.realsense_models import (
    GMSL_NODE,
    INTEL,
    MODELS,
    MODELS_OF_REALSENSE,
    REALSENSE,
    RECOVERY,
    model_of,
)
from tests.support.udev_rules import apply_rules

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = ROOT / "systemd"
SERVICES = sorted((SYSTEMD / "system").glob("*.service"))
UNITS = sorted((SYSTEMD / "system").iterdir())
DROP_INS = sorted((SYSTEMD / "drop-ins").iterdir())
RULES = SYSTEMD / "udev/rules.d/60-handmap.rules"
MAX_EXPOSED = 3.0
# Directives that came after the systemd 249 of JetPack 6, with the version that brought them: it would ignore them.
TOO_NEW = {
    "OpenFile": 253, "MemoryKSM": 254, "RestartSteps": 254, "RestartMaxDelaySec": 254, "RestartMode": 254, "ReloadSignal": 253,
    "ImportCredential": 254, "ExitType": 250, "TimeoutStartFailureMode": 250, "RestrictFileSystems": 250, "MemoryZSwapMax": 253,
    "StartupAllowedCPUs": 252, "LogFilterPatterns": 253, "SurviveFinalKillSignal": 255, "PrivatePIDs": 257,
}  # fmt: skip
# With these CUDA, TensorRT or the camera could not be opened, or its code not be made.
BREAKS_CUDA = {
    "PrivateDevices",
    "ProtectClock",
    "MemoryDenyWriteExecute",
    "PrivateUsers",
    "PrivateNetwork",
    "DevicePolicy",
    "ProcSubset",
}


def settings(path: Path) -> dict[str, list[str]]:
    """All values of each key, over all sections."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def name_of(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", SERVICES, ids=name_of)
def test_exposure_is_low(path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")

    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MAX_EXPOSED


@pytest.mark.parametrize("path", [*UNITS, *DROP_INS], ids=name_of)
def test_systemd_knows_every_line(path: Path, tmp_path: Path) -> None:
    """Judged by what it prints: for an unknown key the exit code is 0."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    for unit in UNITS:  # with programs that are on every machine
        text = re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
    if path in DROP_INS:
        (tmp_path / "handmap.service.d").mkdir()
        shutil.copy(path, tmp_path / "handmap.service.d")
    verified = tmp_path / (path.name if path in UNITS else "handmap.service")

    done = subprocess.run(["systemd-analyze", "verify", str(verified)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_analyze_reports_an_unknown_key(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    (tmp_path / "wrong.service").write_text("[Service]\nExecStart=/bin/true\nProtectHme=yes\n")

    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "wrong.service")], capture_output=True, text=True, check=False
    )

    assert "ProtectHme" in done.stderr


@pytest.mark.parametrize("path", [*UNITS, *DROP_INS], ids=name_of)
def test_jetpack_6_knows_every_key(path: Path) -> None:
    assert set(settings(path)) & set(TOO_NEW) == set()


@pytest.mark.parametrize("path", SERVICES, ids=name_of)
def test_no_setting_breaks_cuda(path: Path) -> None:
    assert set(settings(path)) & BREAKS_CUDA == set()


@pytest.mark.parametrize("path", SERVICES, ids=name_of)
def test_a_wrong_configuration_is_not_restarted_and_nothing_runs_before_the_daemon(path: Path) -> None:
    found = settings(path)

    assert found["RestartPreventExitStatus"] == [str(EXIT_CONFIG)]
    assert "ExecStartPre" not in found


def test_both_services_have_the_same_user_caches_and_sandbox() -> None:
    daemon, engine = settings(SYSTEMD / "system/handmap.service"), settings(SYSTEMD / "system/handmap-engine.service")
    shared = {
        "User", "Group", "SupplementaryGroups", "CacheDirectory", "CacheDirectoryMode", "StateDirectory", "UMask",
        *(key for key in daemon if key.startswith(("Protect", "Private", "SystemCall", "Lock", "NoNew", "Cap", "Ambient"))),
    }  # fmt: skip

    assert {key: daemon.get(key) for key in shared} == {key: engine.get(key) for key in shared}
    assert daemon["Environment"][0] == engine["Environment"][0]


@pytest.mark.parametrize("name", ["handmap", "handmap-engine"])
def test_an_instance_differs_from_the_only_daemon_only_in_its_name(name: str) -> None:
    """All keys but what names, starts and configures it; %i is what stands after the @."""
    one, instance = (settings(SYSTEMD / f"system/{file}.service") for file in (name, f"{name}@"))
    its_own = {"Description", "WantedBy", "Also"}

    named = {
        key: [
            value.replace("@%i", "").replace("/%i.yaml", "/config.yaml").replace(" handmap/%i", "") for value in values
        ]
        for key, values in instance.items()
    }
    assert {key: values for key, values in named.items() if key not in its_own} == {
        key: values for key, values in one.items() if key not in its_own
    }
    assert "--config /etc/handmap/%i.yaml" in instance["ExecStart"][0]
    assert (instance["StateDirectory"] == ["handmap handmap/%i"]) == (name == "handmap")  # its snapshots
    assert all("%i" in text for text in instance["Description"])


def test_an_instance_starts_at_boot_without_any_other_daemon() -> None:
    instance = settings(SYSTEMD / "system/handmap@.service")

    assert instance["WantedBy"] == ["multi-user.target handmap.target handmap-camera.target"]
    assert "Also" not in instance
    assert instance["Wants"] == ["handmap-engine@%i.service"]


def test_user_and_groups_of_the_units_are_created() -> None:
    daemon = settings(SYSTEMD / "system/handmap.service")
    made = [line.split() for line in (SYSTEMD / "sysusers.d/handmap.conf").read_text().splitlines()]

    assert [words[1] for words in made if words[0] == "u"] == daemon["User"] == daemon["Group"]
    assert {words[2] for words in made if words[0] == "m"} == set(daemon["SupplementaryGroups"][0].split())


def test_folders_are_created_as_systemd_would() -> None:
    daemon = settings(SYSTEMD / "system/handmap.service")
    made = {
        words[1]: words[2:] for words in map(str.split, (SYSTEMD / "tmpfiles.d/handmap.conf").read_text().splitlines())
    }

    for kind, parent in (("Cache", "/var/cache"), ("State", "/var/lib")):
        (name,), (mode,) = daemon[f"{kind}Directory"], daemon[f"{kind}DirectoryMode"]
        assert made[f"{parent}/{name}"] == [mode, *daemon["User"], *daemon["Group"]]


def test_either_name_enables_everything() -> None:
    """Each installs the other: `enable handmap` and `enable handmap.target` are the same."""
    service, target = settings(SYSTEMD / "system/handmap.service"), settings(SYSTEMD / "system/handmap.target")

    assert (service["WantedBy"], service["Also"]) == (["handmap.target handmap-camera.target"], ["handmap.target"])
    assert (target["WantedBy"], target["Also"]) == (["multi-user.target"], ["handmap.service"])


CAMERA_ON_USB = {"ACTION": "add", "SUBSYSTEM": "usb", "ENV{DEVTYPE}": "usb_device"}
DEPTH_CAMERAS = [
    *((INTEL, product) for product in MODELS),
    *((REALSENSE, product) for product in (*MODELS, *MODELS_OF_REALSENSE, "0fff")),
]


@pytest.mark.parametrize(("vendor", "product"), DEPTH_CAMERAS, ids=":".join)
def test_a_camera_is_the_daemons_alone_stays_awake_and_starts_the_enabled_daemons(vendor: str, product: str) -> None:
    done = apply_rules(RULES, {**CAMERA_ON_USB, "ATTR{idVendor}": vendor, "ATTR{idProduct}": product})

    assert model_of(vendor, product) is not None
    assert (done.values["GROUP"], done.values["MODE"], done.values["ATTR{power/control}"]) == ("plugdev", "0660", "on")
    assert done.started == ["handmap-camera.target"]


@pytest.mark.parametrize(
    ("vendor", "product"), [(vendor, product) for vendor, products in RECOVERY.items() for product in products], ids=str
)
def test_a_camera_without_firmware_can_be_written_but_starts_nothing(vendor: str, product: str) -> None:
    done = apply_rules(RULES, {**CAMERA_ON_USB, "ATTR{idVendor}": vendor, "ATTR{idProduct}": product})

    assert model_of(vendor, product) is None
    assert (done.values["GROUP"], done.values["MODE"], done.started) == ("plugdev", "0660", [])


def test_a_camera_on_a_gmsl_link_starts_the_enabled_daemons() -> None:
    node = {"ACTION": "add", "SUBSYSTEM": "video4linux", "ATTR{name}": f"vi-output, {GMSL_NODE} 9-001a"}

    assert apply_rules(RULES, node).started == ["handmap-camera.target"]


@pytest.mark.parametrize(
    "facts",
    [
        {**CAMERA_ON_USB, "ATTR{idVendor}": INTEL, "ATTR{idProduct}": "0029"},  # a Bluetooth adapter
        {**CAMERA_ON_USB, "ATTR{idVendor}": "046d", "ATTR{idProduct}": "0b07"},
        {**CAMERA_ON_USB, "ATTR{idVendor}": REALSENSE, "ATTR{idProduct}": "0b07", "ACTION": "remove"},
        {**CAMERA_ON_USB, "ATTR{idVendor}": REALSENSE, "ATTR{idProduct}": "0b07", "ENV{DEVTYPE}": "usb_interface"},
        {"ACTION": "add", "SUBSYSTEM": "video4linux", "ATTR{name}": "HD Webcam"},
    ],
    ids=str,
)
def test_other_devices_are_left_alone(facts: dict[str, str]) -> None:
    assert apply_rules(RULES, facts).values == {}


def test_plugging_in_a_camera_starts_what_is_enabled_and_nothing_by_name() -> None:
    """A Wants= in a unit would start a daemon that its administrator has disabled; links are what `enable` makes."""
    for target in ("handmap.target", "handmap-camera.target"):
        assert "Wants" not in settings(SYSTEMD / "system" / target)
    for name in ("handmap.service", "handmap@.service"):
        assert "handmap-camera.target" in settings(SYSTEMD / "system" / name)["WantedBy"][0].split()
    assert settings(SYSTEMD / "system/handmap-camera.target")["StopWhenUnneeded"] == ["yes"]


@pytest.mark.parametrize("path", SERVICES, ids=name_of)
def test_the_journal_of_the_machine_is_left_alone(path: Path) -> None:
    (namespace,) = settings(path)["LogNamespace"]

    assert (SYSTEMD / f"journald@{namespace}.conf.d").is_dir()
    assert not list(SYSTEMD.glob("journald.conf*"))


def test_device_rules_are_well_formed() -> None:
    text = RULES.read_text()
    expression = r'(?:[A-Z]+(?:\{[\w/]+\})?\s*(?:==|!=|\+=|:=|=)\s*"[^"]*")'
    labels, jumps = re.findall(r'LABEL="(\w+)"', text), re.findall(r'GOTO="(\w+)"', text)

    for line in text.splitlines():
        assert not line or line.startswith("#") or re.fullmatch(rf"{expression}(?:, {expression})*", line), line
    assert set(jumps) <= set(labels)
