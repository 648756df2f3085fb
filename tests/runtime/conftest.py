"""A tiny bundle and recordings of a moving blob, made once."""

from pathlib import Path

import pytest

from handmap.bundle.manifest import Bundle
from tests.support.board_tree import Tree, write_board
from tests.support.tiny_bundle import write_blob_recording, write_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A whole bundle."""
    return write_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty frames, a second, of the blob."""
    return write_blob_recording(tmp_path_factory.mktemp("recording") / "blob", 30)


@pytest.fixture
def tree(tmp_path: Path, bundle: Bundle) -> Tree:
    """A healthy board."""
    return write_board(tmp_path.resolve() / "root", bundle.path)
