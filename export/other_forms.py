"""Names what PyTorch file was given in place of a program, and the lines that make a program of it. Nothing in it is run."""

import io
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

PROGRAM_LINES = """\
import torch
from your_code import Network  # the class of your network
{load}
batch = torch.export.Dim("batch", min=1, max=64)
program = torch.export.export(network.eval(), (torch.zeros(2, 1, 128, 128),), dynamic_shapes=({{0: batch}},))
torch.export.save(program, "network.pt2")"""
TORCHSCRIPT_LINES = """\
import torch
network = torch.jit.load({path!r}).eval()
axes = {{"depth": {{0: "batch"}}, "joints": {{0: "batch"}}}}
names = {{"input_names": ["depth"], "output_names": ["joints"], "dynamic_axes": axes}}
torch.onnx.export(network, (torch.zeros(2, 1, 128, 128),), "network.onnx", **names, opset_version=18, dynamo=False)"""
LOG = logging.getLogger("handmap.export")

OLD_PICKLE = b"\x80\x02"  # what torch.save wrote before PyTorch 1.6


def name_other_form(content: bytes, path: Path) -> str | None:
    """What kind of file this is, with the lines that help; None if it may be a program."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return _of_saved(content, path) if content.startswith(OLD_PICKLE) else None
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return _advice("TorchScript", TORCHSCRIPT_LINES.format(path=str(path)))
    is_program = any(name.startswith("models/") or name == "serialized_exported_program.json" for name in names)
    return _of_saved(content, path) if "data.pkl" in names and not is_program else None


def _of_saved(content: bytes, path: Path) -> str:
    """What torch.save was given: weights alone, weights among other things, or the module itself."""
    try:
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # mostly pickle's, that it wants classes, which only its author's code has
        LOG.debug("not_plain=%s", path, exc_info=True)
        load = "network = torch.load({path!r}, map_location='cpu', weights_only=False)  # runs its author's code"
        return _advice("a pickled module", PROGRAM_LINES.format(load=load.format(path=str(path))))
    inner = (
        next((key for key, value in saved.items() if _is_weights(value)), None) if isinstance(saved, Mapping) else None
    )
    if _is_weights(saved):
        kind, part = "the weights of a network (a state_dict)", ""
    elif inner is not None:
        kind, part = f"a checkpoint with the keys {', '.join(map(repr, saved))}", f"[{inner!r}]"
    else:
        return _advice(
            "saved by torch.save, but holds no weights",
            PROGRAM_LINES.format(load="network = Network()  # then load its weights"),
        )
    load = f"network = Network()\nnetwork.load_state_dict(torch.load({str(path)!r}, map_location='cpu', weights_only=True){part})"
    return _advice(kind, PROGRAM_LINES.format(load=load))


def _is_weights(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(one, torch.Tensor) for one in value.values())


def _advice(kind: str, lines: str) -> str:
    return f"it is {kind}, wanted a torch.export program or an ONNX graph; make one with:\n{lines}"
