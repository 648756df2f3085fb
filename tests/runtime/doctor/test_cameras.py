"""Which cameras the doctor finds: by the SDK's list of USB ids, on GMSL links, and by asking the SDK."""

import json
from pathlib import Path

import pytest

from runtime.cameras.realsense_models import INTEL, MODELS, REALSENSE
from tests.support.board_tree import CAMERA, Tree, say
from tests.support.doctored import run
from tests.support.sick_boards import ON_GMSL, RULES

RENAMED = "RealSense D999 1234 9.9"


def details(tree: Tree, check: str) -> tuple[str, str]:
    (found,) = (result for result in run(tree).results if result.id == check)
    return found.status, found.details


@pytest.mark.parametrize(
    ("vendor", "product", "model"),
    [
        (INTEL, "1156", "D436"),
        (INTEL, "0b56", "D555"),
        (INTEL, "0ad4", "D430"),
        (INTEL, "abcc", "D401"),
        (REALSENSE, "0b5b", "D405"),
        (REALSENSE, "0c03", "D535F"),
        (REALSENSE, "ffff", "RealSense camera"),
    ],
)
def test_every_camera_of_the_sdk_is_found_on_the_bus(tree: Tree, vendor: str, product: str, model: str) -> None:
    tree.file(f"{CAMERA}/idVendor", vendor)
    tree.file(f"{CAMERA}/idProduct", product)

    report = run(tree)

    assert details(tree, "camera.bus") == ("ok", f"{model} ({vendor}:{product}) at 2-1")
    assert [result.id for result in report.results if result.status == "failed"] == []


def test_another_device_with_the_id_of_a_camera_is_none(tree: Tree) -> None:
    tree.file(f"{CAMERA}/idVendor", "046d")
    tree.python(sdk=say([]))

    assert details(tree, "camera.bus")[0] == "failed"


def test_a_camera_over_gmsl_is_found_without_any_on_usb(tree: Tree) -> None:
    tree.remove("sys/bus/usb")
    ON_GMSL(tree)

    report = run(tree)

    assert details(tree, "camera.bus") == ("ok", "camera over GMSL at I2C 9-001a")
    assert details(tree, "camera.rights")[0] == "ok"
    assert details(tree, "camera.speed")[0] == "not applicable"
    assert [result.id for result in report.results if result.status == "failed"] == []


def test_a_camera_that_only_the_sdk_knows_is_one(tree: Tree) -> None:
    tree.remove("sys/bus/usb")
    facts = {"name": RENAMED, "serial_number": "1234", "firmware_version": "9.9", "recommended_firmware_version": "9.9"}
    tree.python(sdk=f"echo '{json.dumps([facts])}'")

    assert details(tree, "camera.bus") == ("ok", f"{RENAMED}, found by the SDK only")


def test_the_names_are_those_of_the_installed_sdk() -> None:
    """The SDK cannot be asked for its list, but the names in it stand in its library."""
    sdk = pytest.importorskip("pyrealsense2", exc_type=ImportError)
    library = next(Path(sdk.__file__).parent.glob("pyrealsense2*.so")).read_bytes()

    assert all(f"RealSense {name.split()[0]}".encode().upper() in library.upper() for name in MODELS.values())


def test_rules_are_wanted_where_a_camera_is_on_a_gmsl_link(tree: Tree) -> None:
    tree.remove("sys/bus/usb", f"{RULES}/60-handmap.rules", "usr/lib/systemd/system/handmap.service")
    ON_GMSL(tree)

    assert details(tree, "camera.udev")[0] == "failed"
