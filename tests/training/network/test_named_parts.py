"""Layouts and heads of one's own: named in the configuration, checked at the start, trained, exported, and opened again."""

import sys
from pathlib import Path

import msgspec
import pytest
import torch

from handmap.system.config import read_config
from handmap.types.errors import ConfigError, ModelError
from training.network.network import GuidanceStage, HandMap, NetworkConfig
from training.trainer.handedness import read_trunk
from training.trainer.own_loop import save_network
from training.trainer.train_config import TrainConfig

MODULE = """
from torch import nn
from training import Estimate, Layout

def stem(features):
    return nn.Conv2d(1, features, 4, stride=4)

def body(features):
    return nn.Sequential(nn.Conv2d(features, features, 3, padding=1), nn.GELU())

class Flat(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.joints = nn.Linear(features, 63)

    def embed(self, features):
        return features.mean((2, 3))

    def estimate(self, embedding):
        return Estimate(self.joints(embedding).unflatten(1, (21, 3)))

class Bare(Flat):
    def estimate(self, embedding):
        return self.joints(embedding)

class Short(Flat):
    def estimate(self, embedding):
        return Estimate(self.joints(embedding).unflatten(1, (3, 21)))

class Voteless(nn.Module):
    def __init__(self, features):
        super().__init__()

own = Layout(stem, body)
wide = Layout(lambda features: nn.Conv2d(1, features, 2, stride=2), body)
shrinking = Layout(stem, lambda features: nn.MaxPool2d(2))
failing = Layout(stem, lambda features: nn.Conv2d(7, features, 3, padding=1))
unmade = Layout(stem, lambda features: nn.Conv2d(features, 0, 3, groups=0))
no_module = Layout(lambda features: None, body)
number = 5
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the module above, importable."""
    (tmp_path / "own_parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_parts", raising=False)
    return "own_parts"


def test_a_layout_and_a_head_are_named_by_import_path(module: str) -> None:
    config = NetworkConfig(layout=f"{module}:own", head=f"{module}:Flat", features=8)

    outputs = HandMap(config).eval()(torch.ones(3, 1, 128, 128))

    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "joints": (3, 21, 3),
        "guidance": (3, 21, 32, 32),
    }


def test_parts_of_ones_own_keep_the_weights_that_they_come_with(module: str) -> None:
    torch.manual_seed(0)
    stem = torch.nn.Conv2d(1, 8, 4, stride=4)
    torch.manual_seed(0)

    network = HandMap(NetworkConfig(layout=f"{module}:own", features=8))

    torch.testing.assert_close(network.stem.state_dict(), stem.state_dict())
    stage = network.stages[0]
    assert isinstance(stage, GuidanceStage) and stage.to_maps.bias is not None
    assert stage.to_maps.bias.abs().max() == 0  # ours are drawn as ever


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("layout: {m}:wide", r"its stem, given \(2, 1, 128, 128\), gives \(2, 8, 64, 64\), wanted \(2, 8, 32, 32\)"),
        ("layout: {m}:shrinking", r"its body, given \(2, 8, 32, 32\), gives \(2, 8, 16, 16\), wanted \(2, 8, 32, 32\)"),
        ("layout: {m}:failing", r"its body fails on \(2, 8, 32, 32\) \(RuntimeError: .+\); correct it"),
        ("layout: {m}:unmade", r"its body cannot be made for 8 features \(ValueError: .+\); correct it"),
        ("layout: {m}:no_module", r"its stem is None, wanted a torch\.nn\.Module; correct what makes it"),
        ("layout: {m}:number", r"is 5, wanted a handmap\.training\.Layout; name one"),
        ("layout: {m}:Flat", r"wanted a handmap\.training\.Layout; name one"),
        ("layout: {m}:absent", r"no attribute 'absent' .+; correct the name after the colon"),
        ("layout: no_such.place:own", r"there is no module 'no_such'; install its package, or add the folder"),
        ("head: {m}:number", r"is 5, wanted a class or function that makes a handmap\.training\.Head"),
        ("head: {m}:Voteless", r"has no method `embed`; add it"),
        ("head: {m}:Bare", r"`estimate` gives Tensor, wanted a handmap\.training\.Estimate"),
        ("head: {m}:Short", r"the joints of `estimate` gives \(2, 3, 21\), wanted \(2, 21, 3\)"),
    ],
)
def test_a_part_that_does_not_fit_is_refused_in_a_sentence(module: str, part: str, sentence: str) -> None:
    key, _, name = part.format(m=module).partition(": ")
    config = msgspec.convert({key: name, "features": 8}, NetworkConfig)

    with pytest.raises(ConfigError, match=sentence) as refused:
        HandMap(config)

    assert str(refused.value).startswith(f"{key} {name!r}") and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import no_such_library", "it needs the module 'no_such_library', which is not installed; install it"),
        ("1 / 0", "ZeroDivisionError: division by zero; correct broken_parts"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, sentence: str
) -> None:
    (tmp_path / "broken_parts.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ConfigError, match=f"layout 'broken_parts:own' cannot be imported: {sentence}"):
        HandMap(NetworkConfig(layout="broken_parts:own"))


@pytest.mark.parametrize("key", ["layout", "head"])
def test_a_name_that_is_not_known_is_refused_with_those_that_are(tmp_path: Path, key: str) -> None:
    (tmp_path / "c.yaml").write_text(f"total_samples: 64\nnetwork: {{{key}: shiped}}\n")
    known = {"layout": "shipped, paper, hourglass", "head": "votes, fully_connected"}

    with pytest.raises(ConfigError, match=f"line 2.+network.{key}: 'shiped' is not known; use one of {known[key]}, or"):
        read_config(tmp_path / "c.yaml", TrainConfig)


def test_an_installed_package_adds_names(tmp_path: Path, module: str) -> None:
    facts = tmp_path / "own_parts-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Name: own-parts\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        f"[handmap.layouts]\nmine = {module}:own\n[handmap.heads]\nflat = {module}:Flat\n"
    )

    network = HandMap(NetworkConfig(layout="mine", head="flat", features=8))

    assert isinstance(network.stem, torch.nn.Conv2d)
    with pytest.raises(ValueError, match="use one of shipped, paper, hourglass, mine, or name your own"):
        NetworkConfig(layout="yours")


def test_its_program_is_opened_again_where_its_package_is(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(total_samples=1, validation_samples=16)
    network = HandMap(NetworkConfig(layout=f"{module}:own", head=f"{module}:Flat", features=8))
    save_network(tmp_path / "own.pt2", network, config, 0)
    crops = torch.rand(2, 1, 128, 128)

    trunk, facts = read_trunk(tmp_path / "own.pt2")

    torch.testing.assert_close(trunk(crops), network.eval()(crops))
    assert facts.provenance["config"]["network"]["layout"] == f"{module}:own"
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(tmp_path)])
    monkeypatch.delitem(sys.modules, module)
    with pytest.raises(
        ModelError, match=r"own\.pt2' cannot be built again: layout .+ there is no module 'own_parts'; install"
    ):
        read_trunk(tmp_path / "own.pt2")
