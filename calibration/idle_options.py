"""What is stated about recordings has no effect on data sets and calibration sets: there it is refused, not passed over."""

from collections.abc import Sequence
from pathlib import Path

from handmap.recording.datasets import is_dataset_name
from handmap.recording.stated import Stated
from handmap.types.errors import ConfigError

from .calibration_set import is_set


def refuse_idle_options(names: Sequence[str], stated: Stated) -> None:
    """Raises ConfigError if something is stated about recordings and none of the sources is one."""
    options = {"--topic": stated.topic, "--depth-unit-mm": stated.depth_unit_mm, "--intrinsics": stated.intrinsics}
    given = [option for option, value in options.items() if value is not None]
    if not given or not names or not all(is_dataset_name(name) or is_set(Path(name)) for name in names):
        return
    kind = "calibration set" if is_set(Path(names[0])) else "data set"
    idle = " and ".join(given)
    raise ConfigError(
        f"data {names[0]!r}: found {idle} with a {kind}, which knows this itself, wanted a recording; leave out {idle}, or name "
        "a recording by its path"
    )
