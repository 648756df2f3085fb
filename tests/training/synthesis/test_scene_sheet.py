"""The sheet of every kind of scene."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from training.commands import draw_scenes
from training.hand.poses import ALL_KINDS
from training.synthesis.scene_sheet import PLACEMENTS, SENSORS, SHAPES, draw_tiles


def test_every_switch_has_a_tile_with_a_hand_in_it() -> None:
    tiles = list(draw_tiles(1, 1))

    titles = [*SHAPES, *(kind.__name__ for kind in ALL_KINDS), *PLACEMENTS, *SENSORS]
    assert [tile.title for tile in tiles] == titles
    assert all(np.count_nonzero(tile.frame.frame.depth) > 1000 for tile in tiles)
    assert np.mean([tile.frame.is_visible.mean() for tile in tiles]) > 0.5


def test_the_verb_writes_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "scenes.png"

    result = CliRunner().invoke(draw_scenes, ["--out", str(path), "--seed", "3"])

    assert result.exit_code == 0 and "34 tiles, seed 3" in result.output
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    out = tmp_path / "nowhere" / "scenes.png"

    CliRunner().invoke(draw_scenes, ["--out", str(out)], catch_exceptions=False)

    assert out.is_file()
