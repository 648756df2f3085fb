"""The verbs deb and flash-overlay."""

import json
import shlex
from pathlib import Path

import click

from handmap.types.errors import ConfigError

from .targets import TARGETS

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option(
    "--target", "name", type=click.Choice(list(TARGETS)), required=True, help="System to build the package for."
)
@click.option("--out", type=FOLDER, default=Path("dist"), show_default=True, help="Folder for the package.")
@click.option("--checkout", type=FOLDER, default=Path(), help="Checkout of this project; default: the current folder.")
@click.option("--cache", type=FOLDER, help="Folder for wheels; default: .cache/wheels of the checkout.")
@click.option("--revision", type=click.IntRange(min=1), default=1, show_default=True, help="Revision of the package.")
@JSON
def deb(name: str, out: Path, checkout: Path, cache: Path | None, revision: int, as_json: bool) -> None:
    """Build a Debian package of this checkout for one system.

    All wheels are inside: it installs without a network.
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
@click.argument("tree", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--deb", "package", type=click.Path(path_type=Path, dir_okay=False), help="Package that `handmap deb` built."
)
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="The daemon's configuration on the board."
)
@click.option("--extra-debs", type=FOLDER, help="Folder of packages that the image lacks: CUDA, TensorRT.")
@click.option("--dry-run", is_flag=True, help="Check everything and change nothing.")
@click.option("--remove", "is_removal", is_flag=True, help="Take out all that was put in.")
@JSON
def flash_overlay(
    tree: Path, package: Path | None, config: Path | None, extra_debs: Path | None, dry_run: bool, is_removal: bool, as_json: bool
) -> None:  # fmt: skip
    """Put the service into a Jetson image before flashing.

    TREE is the Linux_for_Tegra folder. Nothing is fetched from a network.
    """
    from . import overlay
    from .preflight import OverlayRequest, plan_overlay

    if is_removal:
        if package or config or extra_debs or dry_run:
            raise ConfigError("flash-overlay: --remove stands alone, found other options with it; leave them out")
        changed = overlay.remove(tree)
        _say({"changed": changed}, "removed" if changed else "nothing of ours was there", as_json)
        return
    if package is None or config is None:
        raise ConfigError("flash-overlay: found no --deb or no --config; name both, or --remove")
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
    text = f"{'installed' if done.changed else 'already there, unchanged:'} {', '.join(done.packages)}; {done.files} files as they must be"
    _say(facts, f"{text}\nwith your board's name, flash by: {done.next_command}", as_json)


def _say(facts: dict[str, object], text: str, as_json: bool) -> None:
    click.echo(json.dumps(facts) if as_json else text)
