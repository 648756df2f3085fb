"""A trained palm network as a `torch.export` program (.pt2) with its facts inside."""

import io
from pathlib import Path

import torch

from handmap.atomic import write_file
from handmap.errors import ModelError
from handmap.model_facts import FACTS_FILE, PalmFacts, encode_facts
from handmap.palm_view import SMALL_COLUMNS, SMALL_ROWS

from .palm_network import PalmNetwork
from .palm_score import LEAST_SCORE, PalmScore
from .program import commit_of_sources, tool_versions


def write_palm_program(path: Path, network: PalmNetwork, score: PalmScore, identity: dict[str, object]) -> None:
    """Writes the program whole or not at all.

    Raises ModelError where it cannot be written.
    """
    facts = PalmFacts(
        least_score=LEAST_SCORE,
        made_from={
            "config": identity, "commit": commit_of_sources(), "validation": score._asdict(), "tools": tool_versions()
        },
    )  # fmt: skip
    pictures = torch.zeros(2, 1, SMALL_ROWS, SMALL_COLUMNS)
    batch = torch.export.Dim("batch", min=1)
    plain = network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch stubs lack this form
    program = torch.export.export(plain, (pictures,), dynamic_shapes={"depth_small": {0: batch}}, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names the folders of the machine that it was made on
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={FACTS_FILE: encode_facts(facts)})
    try:
        write_file(path, buffer.getvalue())
    except OSError as error:
        raise ModelError(
            f"program {str(path)!r} cannot be written: {error.strerror}; free some disk and start again"
        ) from error
