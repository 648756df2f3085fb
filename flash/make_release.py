"""Builds a release of this checkout: `make release`.

python -m flash.make_release --help        shows the options
"""

import sys
from pathlib import Path

import click

from handmap.system.options import PATH
from handmap.types.errors import HandmapError

from .release import ReleaseRequest, build_release
from .targets import TARGETS

CHECKOUT = Path(__file__).resolve().parent.parent


@click.command()
@click.option("--out", type=PATH, default=Path("dist/release"), show_default=True, help="Folder to make.")
@click.option(
    "--target", "names", type=click.Choice(list(TARGETS)), multiple=True, help="Package to build; default: all."
)
@click.option("--previous", type=PATH, help="Earlier release, whose packages stay in the apt repositories.")
@click.option("--revision", type=click.IntRange(min=1), default=1, show_default=True, help="Debian revision.")
@click.option("--cache", type=PATH, help="Cache for wheels. Default: .cache/wheels in the checkout.")
@click.option("--key", envvar="RELEASE_KEY", help="Secret key in GnuPG's keyring. Default: a test key.")
@click.option("--cyclonedx", default="cyclonedx-py", show_default=True, help="Program of the package cyclonedx-bom.")
def main(
    out: Path,
    names: tuple[str, ...],
    previous: Path | None,
    revision: int,
    cache: Path | None,
    key: str | None,
    cyclonedx: str,
) -> None:
    """Build wheel, sources, bundle, packages, apt repositories, SBOMs and checksums."""
    targets = tuple(TARGETS[name] for name in names or TARGETS)
    request = ReleaseRequest(
        CHECKOUT,
        out.absolute(),
        targets,
        cache or CHECKOUT / ".cache/wheels",
        cyclonedx,
        key or None,
        previous,
        revision,
    )
    try:
        version = build_release(request, click.echo)
    except HandmapError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    click.echo(f"{out}: release {version}; verify with: cd {out} && sha256sum --check SHA256SUMS")


if __name__ == "__main__":
    main()
