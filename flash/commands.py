"""The commands deb and flash-overlay."""

import json
import shlex
from pathlib import Path

import click

from handmap.system.options import PATH
from handmap.types.errors import ConfigError

from .targets import TARGETS

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command()
@click.option("--target", "name", type=click.Choice(list(TARGETS)), required=True, help="Target system of the package.")
@click.option("--out", type=PATH, default=Path("dist"), show_default=True, help="Folder for the package.")
@click.option("--checkout", type=PATH, default=Path(), help="Checkout of this project. Default: the current folder.")
@click.option("--cache", type=PATH, help="Cache for wheels. Default: .cache/wheels in the checkout.")
@click.option(
    "--revision", type=click.IntRange(min=1), default=1, show_default=True, help="Debian revision of the package."
)
@JSON
def deb(name: str, out: Path, checkout: Path, cache: Path | None, revision: int, as_json: bool) -> None:
    """Build a Debian package of this checkout.

    The package contains all wheels, so it installs without a network.
    """
    from .deb import build_deb

    built = build_deb(TARGETS[name], checkout.resolve(), out, cache or checkout / ".cache" / "wheels", revision)
    if as_json:
        facts = {"deb": str(built.path), "version": built.version, "bytes": built.bytes, "sha256": built.sha256}
        click.echo(json.dumps(facts | {"wheels": built.wheels}))
    else:
        click.echo(f"{built.path}: {built.bytes / 1e6:.1f} MB, {built.wheels} wheels, sha256 {built.sha256}")
        click.echo(f"install with: sudo apt install {shlex.quote(str(built.path.absolute()))}")


@click.command("flash-overlay")
@click.argument("tree", type=PATH)
@click.option("--deb", "package", type=PATH, help="Package built by `handmap deb`.")
@click.option("--config", type=PATH, help="Configuration of the daemon on the board.")
@click.option("--extra-debs", type=PATH, help="Folder with packages that the image lacks, such as CUDA and TensorRT.")
@click.option("--dry-run", is_flag=True, help="Check everything, but change nothing.")
@click.option("--remove", "is_removal", is_flag=True, help="Remove everything that an earlier run installed.")
@JSON
def flash_overlay(
    tree: Path, package: Path | None, config: Path | None, extra_debs: Path | None, dry_run: bool, is_removal: bool, as_json: bool
) -> None:  # fmt: skip
    """Install the service into a Jetson image before flashing.

    TREE is the Linux_for_Tegra folder. No network is used.
    """
    from . import overlay
    from .preflight import OverlayRequest, plan_overlay

    if is_removal:
        if package or config or extra_debs or dry_run:
            raise ConfigError("flash-overlay: --remove takes no other options, found some; leave them out")
        changed = overlay.remove(tree)
        _say({"changed": changed}, "removed" if changed else "not installed, nothing to remove", as_json)
        return
    if package is None or config is None:
        raise ConfigError("flash-overlay: --deb or --config is missing; give both, or --remove")
    request = OverlayRequest(tree, package, config, extra_debs)
    if dry_run:
        plan = plan_overlay(request)
        names = [f"{deb.name} {deb.version}" for deb in plan.debs]
        jetpack = plan.release.jetpack
        system = f"r{plan.release.name}, JetPack {jetpack.name} for {' and '.join(jetpack.boards)}"
        text = f"{system}: would install {', '.join(names)}"
        _say({"release": plan.release.name, "packages": names}, text, as_json)
        return
    done = overlay.apply(request)
    facts = {"changed": done.changed, "packages": done.packages, "files": done.files, "next": done.next_command}
    text = f"{'installed' if done.changed else 'already installed, unchanged:'} {', '.join(done.packages)}; {done.files} files verified"
    _say(
        facts,
        f"{text}\nflash with the following, after putting in the name of your board: {done.next_command}",
        as_json,
    )


def _say(facts: dict[str, object], text: str, as_json: bool) -> None:
    click.echo(json.dumps(facts) if as_json else text)
