"""The `handmap` command: finds the verbs of the installed parts, and turns our errors into one sentence and an exit code."""

import errno
import io
import re
import sys
from importlib.metadata import EntryPoint, entry_points, requires

import click

from handmap.system.renamed import RENAMED_OPTIONS, RENAMED_VERBS
from handmap.system.version import version
from handmap.types.errors import EXIT_CONFIG, ConfigError, DependencyError, Fatal, HandmapError, Transient

GROUP = "handmap.commands"
PACKAGE = "handmap-edge"
EXTRAS = {
    "training": "train",
    "export": "export",
    "calibration": "calibrate",
    "runtime": "host",
    "clients": "host",
    "flash": "host",
}
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
EXIT_TRANSIENT = 75  # EX_TEMPFAIL in sysexits.h: retrying can help


class Verbs(click.Group):
    """A command group with entry points as verbs, each loaded only when used."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Names of all verbs, sorted."""
        return sorted(_registered())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The verb of that name, if a part registers one."""
        entry = _registered().get(name)
        if entry is None:
            return None
        command: click.Command = entry.load()
        return command

    def invoke(self, context: click.Context) -> object:
        """Runs the verb.

        Raises DependencyError, which names the extra to install, if a library that the verb imports is missing.
        """
        try:
            return super().invoke(context)
        except ModuleNotFoundError as error:
            library = (error.name or "").partition(".")[0]
            if library == "handmap":
                raise
            verb = str(context.invoked_subcommand)
            raise DependencyError(
                f"{verb}: the library {library!r} is not installed in {sys.prefix!r}; install it with: "
                f"pip install '{PACKAGE}[{_extra_with(library, verb)}]', in a checkout: pip install -e '.[{_extra_with(library, verb)}]'"
            ) from error


def _say_version(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        click.echo(f"handmap, version {version()}")
        context.exit()


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """21 metric hand joints from a depth camera: train, export, quantize, run."""


def main() -> None:
    """Runs the verb; exits with 78 for a wrong configuration, 75 for a transient error, 1 for any other HandMap error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files that the terminal's encoding lacks
    try:
        refuse_renamed(sys.argv[1:])
        cli.main(prog_name="handmap", standalone_mode=True)
    except Fatal as error:
        _leave(error, EXIT_CONFIG)
    except Transient as error:
        _leave(error, EXIT_TRANSIENT)
    except HandmapError as error:
        _leave(error, 1)
    except OSError as error:
        if error.filename is None and error.errno not in DISK_FAULTS:
            raise  # not about a file: a fault of the program
        _leave(f"{error.filename or 'output'} cannot be used ({error.strerror}); {_advice(error)}", EXIT_CONFIG)


def refuse_renamed(arguments: list[str]) -> None:
    """Raises ConfigError for a verb, or an option of its verb, that has been renamed."""
    words = [*(" ".join(arguments[:count]) for count in (1, 2)), *(word.partition("=")[0] for word in arguments)]
    options = RENAMED_OPTIONS.get(arguments[0], {}) if arguments else {}
    for word in words:
        if (new := RENAMED_VERBS.get(word) or options.get(word)) is not None:
            raise ConfigError(f"{word!r} is now called {new!r}; use that")


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space, or name another place"
    return "name another path, or correct what is there or its permissions"


def _leave(error: HandmapError | str, code: int) -> None:
    click.echo(f"handmap: {error}", err=True)
    sys.exit(code)


def _extra_with(library: str, verb: str) -> str:
    """The extra with the verb's name, or of its part, or another one if only that provides the library."""
    own = EXTRAS[_registered()[verb].value.split(".")[1]]
    bring = re.findall(rf'^{re.escape(library)}\b.*extra == "(\w+)"', "\n".join(requires(PACKAGE) or ()), re.MULTILINE)
    return verb if verb in bring else own if own in bring or not bring else str(bring[0])


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


if __name__ == "__main__":
    main()
