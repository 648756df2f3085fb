"""A trained palm network as a `torch.export` program (.pt2) with its facts inside."""

from pathlib import Path

from handmap.bundle.model_facts import PalmFacts
from handmap.tracking.palm_view import SMALL_COLUMNS, SMALL_ROWS

from ..network.palm_network import PalmNetwork
from .palm_score import LEAST_SCORE, PalmScore
from .program import commit_of_sources, export_network, save_program, tool_versions


def write_palm_program(path: Path, network: PalmNetwork, score: PalmScore, identity: dict[str, object]) -> None:
    """Writes the program whole or not at all.

    Raises ModelError where it cannot be written.
    """
    facts = PalmFacts(
        least_score=LEAST_SCORE,
        made_from={
            "config": identity,
            "commit": commit_of_sources(),
            "validation": score._asdict(),
            "tools": tool_versions(),
        },
    )
    save_program(path, export_network(network, "depth_small", (SMALL_ROWS, SMALL_COLUMNS)), facts)
