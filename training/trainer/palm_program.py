"""A trained palm network as a `torch.export` program (.pt2) with its facts inside."""

from pathlib import Path

from handmap.bundle.model_metadata import PalmMetadata
from handmap.tracking.palm_detector import INPUT_COLUMNS, INPUT_ROWS

from ..network.palm_network import PalmNetwork
from .palm_score import MIN_SCORE, PalmScore
from .program import commit_of_sources, export_network, save_program, tool_versions


def write_palm_program(path: Path, network: PalmNetwork, score: PalmScore, identity: dict[str, object]) -> None:
    """Writes the program whole or not at all.

    Raises ModelError where it cannot be written.
    """
    facts = PalmMetadata(
        min_score=MIN_SCORE,
        provenance={
            "config": identity,
            "commit": commit_of_sources(),
            "validation": score._asdict(),
            "tools": tool_versions(),
        },
    )
    save_program(path, export_network(network, "depth_small", (INPUT_ROWS, INPUT_COLUMNS)), facts)
