"""Checks of the RealSense camera: USB bus or GMSL link, speed, rights and power, kernel driver."""

from pathlib import Path
from typing import Final

from .account import READ, WRITE
from .camera_sdk import seen_by_sdk
from .context import Check, DoctorContext, Finding, failed, ok, warning
from .machine import NotApplicable
from .usb import UsbCamera, cameras_of, gmsl_nodes, in_recovery, interfaces_of, number, on_gmsl, on_usb

USB3_MBIT: Final = 5000
UDEV_FOLDERS: Final = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
OUR_RULES: Final = "60-handmap.rules"
THEIR_RULES: Final = "99-realsense-libusb.rules"
DRIVER: Final = "uvcvideo"
LIBUSB: Final = (
    "usbfs"  # the kernel's name for a program that drives the device itself, which the SDK can be built to do
)
METADATA: Final = "D4XX"  # the kernel's name for the metadata format that carries the camera's own time


def check_bus(context: DoctorContext) -> Finding:
    """Whether a camera is plugged in, and which one is used."""
    context.need_running()
    config = context.need_camera()
    recovering = in_recovery(context)
    if recovering:
        return failed(
            f"{recovering[0]}: it delivers no frames until its firmware is written",
            "rs-fw-update -r -f Signed_Image_UVC.bin  # from RealSense's firmware page",
        )
    found = [*map(str, on_usb(context)), *(f"camera over GMSL at I2C {address}" for address in on_gmsl(context))]
    if not found:
        # Newer than the list of models, or on a network: the SDK knows more ways to a camera than sysfs shows.
        cameras = seen_by_sdk(context)
        if isinstance(cameras, str) or not cameras:
            asked = f"and the SDK cannot be asked: {cameras}" if cameras else "and the SDK finds none either"
            return failed(
                f"no RealSense camera is connected over USB or GMSL, {asked}",
                "lsusb | grep -i -e 8086: -e 38e5:  # after plugging it in again, directly into the board",
            )
        found = [f"{camera['name']}, found by the SDK only" for camera in cameras]
    if len(found) > 1 and config.serial is None:
        return failed(
            f"{len(found)} cameras are plugged in, but camera.serial is not set: {', '.join(found)}",
            f"rs-enumerate-devices -s && {context.edit_config()}",
        )
    return ok(", ".join(found))


def check_speed(context: DoctorContext) -> Finding:
    """Whether the link is USB 3."""
    slow = {
        str(camera): speed
        for camera in cameras_of(context)
        if (speed := number(context, camera.folder / "speed")) < USB3_MBIT
    }
    if slow:
        which = ", ".join(f"{camera} at {speed:g} Mbit/s" for camera, speed in slow.items())
        return failed(
            f"{which}, wanted {USB3_MBIT} (USB 3): a bad contact or a USB 2 cable",
            "lsusb -t  # after plugging it into a blue port, with a USB 3 cable",
        )
    return ok(
        ", ".join(
            f"{camera.model} at {number(context, camera.folder / 'speed'):g} Mbit/s" for camera in cameras_of(context)
        )
    )


def check_rights(context: DoctorContext) -> Finding:
    """Whether the daemon's user can open the nodes of the camera."""
    account = context.account
    for node in gmsl_nodes(context) if on_gmsl(context) else ():
        found = context.machine.stat(node)
        if found is not None and not account.may(READ | WRITE, found):
            return failed(
                f"user {account.name!r} cannot open {node}, a node of the camera over GMSL",
                "sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=video4linux",
            )
    if on_gmsl(context) and not on_usb(context):
        return ok(f"user {account.name!r} can open the camera")
    for camera in cameras_of(context):
        numbers = (number(context, camera.folder / name) for name in ("busnum", "devnum"))
        node = Path("/dev/bus/usb", *(f"{each:03.0f}" for each in numbers))
        found = context.machine.stat(node)
        if found is None or not account.may(READ | WRITE, found):
            what = "there is no" if found is None else f"user {account.name!r} cannot open"
            return failed(
                f"{what} {node}, the node of the {camera}",
                "sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=usb",
            )
    return ok(f"user {account.name!r} can open the camera")


def check_rules(context: DoctorContext) -> Finding:
    """Whether our udev rules are installed and active."""
    context.need_camera()
    machine = context.machine
    if context.unit is None and machine.is_running and not (on_usb(context) or on_gmsl(context)):
        raise NotApplicable("neither our package nor a camera is present")
    where = _rules(context, OUR_RULES)
    if where is not None and machine.link(where) == "/dev/null":
        return failed(
            f"{where} is a link to /dev/null, so our rules are masked",
            f"sudo rm {context.here(where.parent)}/{where.name} && sudo udevadm control --reload",
        )
    if where is not None:
        return ok(str(where))
    theirs = _rules(context, THEIR_RULES)
    install = context.install("--reinstall ./handmap.deb" if machine.is_running else "handmap.deb")
    if theirs is not None:
        return warning(
            f"only RealSense's {theirs.name} is present: every user can write to cameras, and plugging one in starts nothing",
            install,
        )
    return failed(f"no {OUR_RULES}: only root can open a camera, and the kernel can suspend it", install)


def check_autosuspend(context: DoctorContext) -> Finding:
    """Whether the kernel leaves the camera powered."""
    for camera in cameras_of(context):
        control = context.machine.text(camera.folder / "power/control")
        if control == "auto" and number(context, camera.folder / "power/autosuspend_delay_ms") >= 0:
            return warning(
                f"the {camera} is suspended when idle, and might not wake up",
                f"echo on | sudo tee {context.here(camera.folder)}/power/control",
            )
    return ok("the camera is never suspended")


def check_kernel(context: DoctorContext) -> Finding:
    """Whether the kernel has the driver for UVC cameras, and that driver is bound to the camera."""
    context.need_camera()
    machine = context.machine
    if not machine.is_running:
        kernels = machine.entries("/lib/modules")
        for kernel in kernels:
            modules = f"{machine.text(kernel / 'modules.builtin') or ''}\n{machine.text(kernel / 'modules.dep') or ''}"
            if f"/{DRIVER}.ko" in modules:
                return ok(f"kernel {kernel.name} has {DRIVER}")
        return failed(
            f"the driver {DRIVER} is missing from kernel {', '.join(kernel.name for kernel in kernels) or 'of this image'}",
            context.apply_binaries(),
        )
    for camera in cameras_of(context):
        holders = _holders(context, camera)
        if not holders & {DRIVER, LIBUSB}:
            return failed(
                f"{DRIVER} is not bound to the {camera}, but {', '.join(sorted(holders)) or 'no driver'} is",
                f"sudo modprobe {DRIVER}  # then plug the camera in again",
            )
    return ok(f"{DRIVER} or the SDK itself drives the camera")


def check_timestamps(context: DoctorContext) -> Finding:
    """Whether frames can carry the time of the camera's own clock, which the kernel has to pass on."""
    machine = context.machine
    for camera in cameras_of(context):
        if LIBUSB in _holders(context, camera):
            continue  # the SDK reads the camera's time from the frame headers
        nodes = [
            node
            for interface in interfaces_of(context, camera)
            for node in machine.entries(interface / "video4linux", "video*")
        ]
        hands_on = [node for node in nodes if number(context, node / "index") > 0]
        look = "handmap listen --json  # timestamp_source shows what the frames carry"
        if not hands_on:
            return warning(f"the kernel has no metadata node for the {camera}: frames are stamped on arrival", look)
        try:
            answers = [
                machine.run("v4l2-ctl", f"--device=/dev/{node.name}", "--list-formats-meta") for node in hands_on
            ]
        except NotApplicable as error:
            unknown = f"the kernel has metadata nodes for the {camera}, but their format cannot be read: {error}"
            return Finding("not applicable", unknown, context.install("v4l-utils"))
        if any("Permission denied" in answer.err for answer in answers):
            raise PermissionError(f"this user cannot read the metadata nodes of the {camera}")
        if not any(METADATA in answer.out for answer in answers):
            return warning(
                f"the kernel passes on no {METADATA} metadata of the {camera}: frames are stamped on arrival", look
            )
    return ok("by the camera's clock: the kernel passes its time on, or the SDK reads it itself")


def _rules(context: DoctorContext, name: str) -> Path | None:
    """The rules file that udev reads, or the link that masks it."""
    machine, files = context.machine, [Path(folder) / name for folder in UDEV_FOLDERS]
    return next((file for file in files if machine.link(file) is not None or machine.has(file)), None)


def _holders(context: DoctorContext, camera: UsbCamera) -> set[str]:
    """The drivers of a camera's interfaces."""
    links = (context.machine.link(interface / "driver") for interface in interfaces_of(context, camera))
    return {Path(link).name for link in links if link is not None}


CHECKS: Final = (
    Check("camera.bus", "a camera is plugged in", check_bus),
    Check("camera.speed", "its link is USB 3", check_speed),
    Check("camera.rights", "the daemon can open it", check_rights),
    Check("camera.udev", "udev rules are installed", check_rules),
    Check("camera.autosuspend", "it is never suspended", check_autosuspend),
    Check("camera.kernel", "the kernel has its driver", check_kernel),
    Check("camera.timestamps", "frames carry the camera's time", check_timestamps),
)
