"""The configurations in configs/ are what their commands read, and those that adapt the shipped networks fit together."""

from pathlib import Path

import msgspec
import pytest

from handmap.system.config import read_config
from tests.support.processes import ROOT
from training.trainer.handedness_config import HandednessTrainConfig
from training.trainer.palm_train import PalmTrainConfig
from training.trainer.sources import labeled_of
from training.trainer.train_config import TrainConfig

CONFIGS = ROOT / "configs"
KINDS: dict[str, type[msgspec.Struct]] = {
    "adapt_handedness": HandednessTrainConfig,
    "adapt_palm": PalmTrainConfig,
    "train_handedness": HandednessTrainConfig,
    "train_palm": PalmTrainConfig,
}


def train_configs() -> list[Path]:
    return sorted([*CONFIGS.glob("train_*.yaml"), *CONFIGS.glob("adapt_*.yaml")])


@pytest.mark.parametrize("path", train_configs(), ids=lambda path: path.stem)
def test_a_shipped_configuration_is_read_and_starts_from_what_is_there(path: Path) -> None:
    config = read_config(path, KINDS.get(path.stem, TrainConfig))

    start = getattr(config, "start_from", None)
    assert start is None or start.is_file()


def test_the_configurations_for_ones_own_camera_fit_together() -> None:
    hand = read_config(CONFIGS / "train_adapt.yaml", TrainConfig)
    side = read_config(CONFIGS / "adapt_handedness.yaml", HandednessTrainConfig)
    palm = read_config(CONFIGS / "adapt_palm.yaml", PalmTrainConfig)

    assert side.trunk == hand.out / "handmap.pt2" and side.start_from == hand.start_from
    assert palm.sources == hand.sources and len(labeled_of(palm.sources)) == 1
    assert len({hand.out, side.out, palm.out}) == 3
    for name, adapted in (("train_handmap", hand), ("train_handedness", side)):
        shipped = read_config(CONFIGS / f"{name}.yaml", KINDS.get(name, TrainConfig))
        assert shipped.cache == adapted.cache  # type: ignore[attr-defined]  # both kinds have one
    assert read_config(CONFIGS / "train_palm.yaml", PalmTrainConfig).cache == palm.cache
