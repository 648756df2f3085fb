"""The checks of flash-overlay before it changes an image: every problem is named, nothing is changed."""

import os
import platform
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from flash import preflight
from flash.commands import flash_overlay
from flash.l4t import Release, read_release
from flash.preflight import OverlayRequest, plan_overlay
from flash.targets import TARGETS
from handmap.system.jetpack import JETPACKS
from handmap.types.errors import ConfigError
from tests.flash.made_up_tree import made_up_tree, small_deb

if shutil.which("dpkg-deb") is None:
    pytest.skip("needs dpkg", allow_module_level=True)
if platform.machine() != "x86_64":
    pytest.skip("the made-up image is for amd64", allow_module_level=True)
ON_CPU = "bundle: /b\ncamera: {kind: realsense}\n"
ON_GPU = ON_CPU + "engine: {backend: tensorrt, precision: fp16}\n"
WITH_FALLBACK = ON_CPU + "engine: {backend: tensorrt, precision: fp16, fallback: onnx}\n"


@pytest.fixture
def request_of(tmp_path: Path) -> OverlayRequest:
    config = tmp_path / "config.yaml"
    config.write_text(ON_CPU)
    return OverlayRequest(made_up_tree(tmp_path), small_deb(tmp_path), config)


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*")}


def with_extra(request: OverlayRequest, *debs: Path) -> OverlayRequest:
    folder = request.tree.parent / "extra"
    folder.mkdir()
    for deb in debs:
        shutil.move(deb, folder / deb.name)
    return OverlayRequest(request.tree, request.deb, request.config, folder)


@pytest.mark.parametrize(
    ("major", "rest", "target"),
    [(36, "4.0", "jetpack6"), (36, "4.7", "jetpack6"), (36, "5.0", "jetpack6"), (38, "2.0", "jetpack7"),
     (38, "4.0", "jetpack7"), (39, "2.0", "jetpack7"), (39, "2.2", "jetpack7")],
)  # fmt: skip
def test_supported_releases(tmp_path: Path, major: int, rest: str, target: str) -> None:
    release = read_release(made_up_tree(tmp_path, major, rest) / "rootfs")

    assert release.name == f"{major}.{rest}"
    assert release.target == target


@pytest.mark.parametrize(
    ("major", "rest"), [(35, "6.1"), (36, "3.0"), (36, "6.0"), (37, "1.0"), (38, "1.0"), (40, "1.0")]
)
def test_other_releases_are_rejected(tmp_path: Path, major: int, rest: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"r{major}\.{rest}, supported are r36\.4 and newer before r36\.6; r38\.2 and newer before"
    ):
        read_release(made_up_tree(tmp_path, major, rest) / "rootfs")


def test_every_jetpack_has_a_target_and_a_flash_command() -> None:
    for jetpack in JETPACKS:
        release = Release("", jetpack)
        assert release.target in TARGETS
        assert release.flash.startswith("sudo ./tools/")


def test_a_tree_before_apply_binaries_is_rejected(request_of: OverlayRequest) -> None:
    (request_of.rootfs / "etc/nv_tegra_release").unlink()

    with pytest.raises(ConfigError, match=r"apply_binaries\.sh"):
        plan_overlay(request_of)


def test_a_release_file_in_another_format_is_rejected(request_of: OverlayRequest) -> None:
    (request_of.rootfs / "etc/nv_tegra_release").write_text("R36")

    with pytest.raises(ConfigError, match="begins with 'R36'"):
        plan_overlay(request_of)


def test_a_dry_run_prints_the_plan_and_changes_nothing(request_of: OverlayRequest) -> None:
    before = snapshot(request_of.tree.parent)
    words = [str(request_of.tree), "--deb", str(request_of.deb), "--config", str(request_of.config), "--dry-run"]
    done = CliRunner().invoke(flash_overlay, words, catch_exceptions=False)

    assert done.output == "r36.4.7, JetPack 6.1 or 6.2 for Orin: would install handmap 1.0-1\n"
    assert snapshot(request_of.tree.parent) == before


@pytest.mark.parametrize(
    ("depends", "says"),
    [
        (
            "python3 (>= 3.12~), python3 (<< 3.13~)",
            r"needs python3 \(>= 3\.12~\), the image has 3\.10\.6-1~22\.04; .*--target jetpack6",
        ),
        ("libusb-1.0-0, procps", r"needs libusb-1\.0-0, the image has none"),
        ("libgone1", "needs libgone1, the image has none"),
        ("widget (>= 3)", r"needs widget \(>= 3\), the image has 2\.0"),
        ("nothing | libgone1", r"needs nothing \| libgone1"),
    ],
)
def test_unmet_dependencies_are_named(request_of: OverlayRequest, tmp_path: Path, depends: str, says: str) -> None:
    deb = small_deb(tmp_path / "other", Depends=depends)

    with pytest.raises(ConfigError, match=says):
        plan_overlay(OverlayRequest(request_of.tree, deb, request_of.config))


@pytest.mark.parametrize("depends", ["nothing | procps", "widget (>= 2)", "python3:any", "procps (= 2:3.3.17)"])
def test_every_form_of_satisfied_dependency_is_accepted(
    request_of: OverlayRequest, tmp_path: Path, depends: str
) -> None:
    deb = small_deb(tmp_path / "other", Depends=depends)

    assert plan_overlay(OverlayRequest(request_of.tree, deb, request_of.config)).debs[-1].name == "handmap"


def test_extra_packages_satisfy_dependencies_and_are_checked_too(request_of: OverlayRequest, tmp_path: Path) -> None:
    deb = small_deb(tmp_path / "other", Depends="libusb-1.0-0")
    usb = small_deb(tmp_path, "libusb-1.0-0", Depends="libudev1")
    request = with_extra(OverlayRequest(request_of.tree, deb, request_of.config), usb)

    with pytest.raises(ConfigError, match=r"libusb-1\.0-0 needs libudev1") as raised:
        plan_overlay(request)
    assert "handmap needs" not in str(raised.value)

    assert request.extra_debs is not None
    shutil.move(small_deb(tmp_path, "libudev1", Depends="libc6"), request.extra_debs / "libudev1.deb")
    assert [one.name for one in plan_overlay(request).debs] == ["libudev1", "libusb-1.0-0", "handmap"]


def test_a_configuration_that_requires_tensorrt_needs_its_packages(request_of: OverlayRequest, tmp_path: Path) -> None:
    request_of.config.write_text(ON_GPU)
    with pytest.raises(
        ConfigError,
        match=r"no python3-libnvinfer, libnvinfer\[0-9\]\*, cuda-cudart-12-\*, cuda-nvrtc-12-\*; .*fallback: onnx",
    ):
        plan_overlay(request_of)

    request_of.config.write_text(WITH_FALLBACK)
    assert plan_overlay(request_of).release.name == "36.4.7"

    request_of.config.write_text(ON_GPU)
    names = ("python3-libnvinfer", "libnvinfer10", "cuda-cudart-12-6", "cuda-nvrtc-12-6")
    request = with_extra(request_of, *(small_deb(tmp_path, name, Depends="libc6") for name in names))
    assert len(plan_overlay(request).debs) == 5


def test_packages_of_another_architecture_are_named(request_of: OverlayRequest, tmp_path: Path) -> None:
    request = with_extra(request_of, small_deb(tmp_path, "libudev1", "arm64", Depends="libc6"))

    with pytest.raises(ConfigError, match=r"it is amd64, and libudev1\.deb is for another architecture"):
        plan_overlay(request)


@pytest.mark.parametrize("entry", [None, "disabled\nflags: POCF\n", "enabled\nflags: POC\n"])
def test_a_foreign_image_needs_a_fixed_binfmt_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str | None
) -> None:
    monkeypatch.setattr(preflight, "BINFMT", tmp_path)
    if entry is not None:
        (tmp_path / "qemu-aarch64").write_text(entry)
    (tmp_path / "config.yaml").write_text(ON_CPU)
    request = OverlayRequest(
        made_up_tree(tmp_path, architecture="arm64"),
        small_deb(tmp_path, architecture="arm64"),
        tmp_path / "config.yaml",
    )

    with pytest.raises(
        ConfigError, match="this machine cannot run arm64 programs, enable them with: apt install qemu-user-static"
    ):
        plan_overlay(request)
    (tmp_path / "qemu-aarch64").write_text("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: POF\n")
    assert plan_overlay(request).debs[-1].architecture == "arm64"


def test_too_little_disk_space_is_rejected_with_both_numbers(request_of: OverlayRequest, tmp_path: Path) -> None:
    deb = small_deb(tmp_path / "other", Installed_Size=str(1 << 40))

    with pytest.raises(ConfigError, match=r"it needs 1073741888 MB of disk space, found \d+ MB free"):
        plan_overlay(OverlayRequest(request_of.tree, deb, request_of.config))


@pytest.mark.parametrize("name", ["rootfs", "my boards \\ Gr\udcfc\udcdfe"])
def test_mounts_in_the_image_are_named_for_any_folder_name(
    request_of: OverlayRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tree = tmp_path / name / "Linux_for_Tegra"
    shutil.copytree(request_of.tree, tree)
    mounts = os.fsencode(tree / "rootfs/proc").replace(b"\\", rb"\134").replace(b" ", rb"\040")
    (tmp_path / "mountinfo").write_bytes(
        b"22 1 0:20 / / rw - ext4 /dev/x rw\n23 22 0:21 / " + mounts + b" rw - proc proc rw\n"
    )
    monkeypatch.setattr(preflight, "MOUNTS", tmp_path / "mountinfo")

    with pytest.raises(ConfigError, match="rootfs/proc is mounted in it, unmount that first"):
        plan_overlay(OverlayRequest(tree, request_of.deb, request_of.config))


def test_all_problems_are_reported_at_once(request_of: OverlayRequest, tmp_path: Path) -> None:
    request_of.config.write_text(ON_GPU)
    deb = small_deb(tmp_path / "other", "handmap", "arm64", Depends="libgone1")

    with pytest.raises(ConfigError) as raised:
        plan_overlay(OverlayRequest(request_of.tree, deb, request_of.config))
    said = str(raised.value)
    assert "another architecture" in said and "libgone1" in said and "python3-libnvinfer" in said


@pytest.mark.parametrize(
    ("name", "says"), [("other", "is the package 'other', wanted 'handmap'"), (None, r"is not a \.deb")]
)
def test_a_file_that_is_not_our_package_is_rejected(
    request_of: OverlayRequest, tmp_path: Path, name: str | None, says: str
) -> None:
    wrong = tmp_path / "wrong.deb"
    wrong.write_text("no package")
    deb = small_deb(tmp_path, name) if name else wrong

    with pytest.raises(ConfigError, match=says):
        plan_overlay(OverlayRequest(request_of.tree, deb, request_of.config))


def test_a_duplicate_package_is_named_with_both_files(request_of: OverlayRequest, tmp_path: Path) -> None:
    older = small_deb(tmp_path / "older", "handmap", Version="0.9-1")
    older = older.rename(older.with_name("handmap_0.9.deb"))

    with pytest.raises(ConfigError, match=r"package handmap is in both handmap_0\.9\.deb and handmap\.deb, keep one"):
        plan_overlay(with_extra(request_of, older))


def test_provided_names_do_not_hide_installed_packages(request_of: OverlayRequest, tmp_path: Path) -> None:
    deb = small_deb(tmp_path / "other", Depends="procps (= 2:3.3.17)")
    request = OverlayRequest(request_of.tree, deb, request_of.config)

    assert plan_overlay(with_extra(request, small_deb(tmp_path, "busybox-ps", Depends="libc6", Provides="procps")))


def test_a_package_with_latin_1_text_is_read(request_of: OverlayRequest, tmp_path: Path) -> None:
    deb = small_deb(tmp_path / "other", Depends="procps,\n libusb-1.0-0")
    root = tmp_path / "other/handmap-root"
    control = (root / "DEBIAN/control").read_bytes().replace(b"a <a@b.invalid>", b"Gr\xfc\xdfe <a@b.invalid>")
    (root / "DEBIAN/control").write_bytes(control)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, deb], check=True, capture_output=True)

    with pytest.raises(ConfigError, match=r"handmap needs libusb-1\.0-0, the image has none"):
        plan_overlay(OverlayRequest(request_of.tree, deb, request_of.config))


def test_a_truncated_package_database_is_rejected(request_of: OverlayRequest) -> None:
    (request_of.rootfs / "var/lib/dpkg/status").write_text("Package: python3\nSta")

    with pytest.raises(ConfigError, match=r"package database '.*/var/lib/dpkg' cannot be read \(.*\); unpack"):
        plan_overlay(request_of)


def test_an_empty_folder_of_extra_packages_is_rejected(request_of: OverlayRequest) -> None:
    with pytest.raises(ConfigError, match=r"contains no \.deb"):
        plan_overlay(with_extra(request_of))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--remove", "--dry-run"], "takes no other"),
        ([], "--config is missing"),
        (["--dry-run"], "--config is missing"),
    ],
)
def test_conflicting_options_are_rejected(request_of: OverlayRequest, words: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CliRunner().invoke(flash_overlay, [str(request_of.tree), *words], catch_exceptions=False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Package", "../../../tmp/x"),
        ("Package", "--root=/"),
        ("Package", "UPPER"),
        ("Package", "a/b"),
        ("Version", "1.0/../2"),
        ("Version", "--help"),
        ("Architecture", "all ../x"),
    ],
)
def test_a_field_that_could_be_a_path_or_an_option_is_rejected(
    request_of: OverlayRequest, tmp_path: Path, field: str, value: str
) -> None:
    root = tmp_path / "odd"
    (root / "DEBIAN").mkdir(parents=True)
    fields = {"Package": "libodd1", "Version": "1.0", "Architecture": "all", "Maintainer": "a <a@b.invalid>"}
    lines = "".join(f"{key}: {text}\n" for key, text in (fields | {field: value, "Description": "x"}).items())
    (root / "DEBIAN/control").write_text(lines)
    extra = tmp_path / "extra debs"
    extra.mkdir()
    subprocess.run(["dpkg-deb", "--nocheck", "-b", root, extra / "odd.deb"], check=True, capture_output=True)

    with pytest.raises(ConfigError, match=f"odd.deb' has {field}: {re.escape(repr(value))}"):
        plan_overlay(replace(request_of, extra_debs=extra))
