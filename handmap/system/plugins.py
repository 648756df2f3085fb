"""Plug-in sections of a configuration: an installed package adds a kind with an entry point."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import msgspec

from handmap.types.errors import ConfigError

TAG = "kind"


class _Tagged(msgspec.Struct):
    """What every such section has in common."""

    kind: str


@dataclass(frozen=True)
class PluginGroup:
    """The structs of one section: the entry point `NAME = package.module:Struct` in the group provides `kind: NAME`.

    A struct implements the contract, a protocol of methods, and has NAME as the tag of its field `kind`. It is loaded only
    when its kind is used. advice tells where to get a kind that is not installed.
    """

    what: str  # singular name for messages, such as camera
    group: str  # entry-point group
    contract: type  # the protocol; as a field type it stands for all kinds
    advice: str

    def names(self) -> list[str]:
        """All installed kinds."""
        return sorted({entry.name for entry in entry_points(group=self.group)})

    def struct_for(self, section: object) -> type[msgspec.Struct]:
        """The struct that decodes a section.

        Raises ValueError, worded like msgspec's, if the section's kind is not installed, ConfigError if its package does not
        implement the contract.
        """
        kind = msgspec.convert(section, _Tagged).kind
        if kind not in self.names():
            raise ValueError(f"Invalid value '{kind}'; {self.advice} - at `$.{TAG}`")
        return self._load(kind)

    def structs(self) -> Iterator[type[msgspec.Struct]]:
        """The structs of all loadable kinds."""
        for name in self.names():
            try:
                yield self._load(name)
            except ConfigError:  # reported when that kind is used
                continue

    def _load(self, kind: str) -> type[msgspec.Struct]:
        entry = self._entry(kind)
        start = f"{self.what} kind {kind!r}: {_whose(entry)}"
        try:
            found = entry.load()
        except Exception as error:  # third-party packages can raise anything on import
            raise ConfigError(
                f"{start} cannot be loaded ({type(error).__name__}: {error}); repair or remove the package, or use another kind"
            ) from error
        if not self._keeps_contract(found, kind):
            raise ConfigError(
                f"{start} is {found!r:.80}, wanted a msgspec.Struct with tag_field={TAG!r}, tag={kind!r}, "
                f"forbid_unknown_fields=True and the methods of {self.contract.__module__}.{self.contract.__name__}; correct the package"
            )
        struct: type[msgspec.Struct] = found
        return struct

    def _entry(self, kind: str) -> EntryPoint:
        first, *others = {entry.value: entry for entry in entry_points(group=self.group, name=kind)}.values()
        if others:
            raise ConfigError(
                f"{self.what} kind {kind!r}: {' and '.join(map(_whose, (first, *others)))} both provide it; remove one of the packages"
            )
        return first

    def _keeps_contract(self, found: object, kind: str) -> bool:
        if not isinstance(found, type) or not issubclass(found, msgspec.Struct):
            return False
        config = found.__struct_config__
        is_tagged = (config.tag_field, config.tag) == (TAG, kind)
        return is_tagged and config.forbid_unknown_fields and issubclass(found, self.contract)


def _whose(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist is not None else "an unknown package"
    return f"{entry.value!r} of {package!r}"
