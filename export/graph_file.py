"""Reads an ONNX graph as somebody's exporter wrote it: the file, and the files of weights beside it, all within bounds."""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

from handmap.files.reading import LFS_MAGIC, MAX_MODEL_BYTES, read_bytes
from handmap.types.errors import ModelError


def read_graph(path: Path) -> tuple[ModelProto, str]:
    """The model at `path` with all of its weights inside, and the sha256 of the file and then of the weights' files, by name.

    Raises ModelError.
    """
    try:
        content = read_bytes(path, MAX_MODEL_BYTES)
    except OSError as error:
        raise ModelError(
            f"graph {str(path)!r} cannot be read ({error.strerror}); name an ONNX file of at most 2 GB"
        ) from error
    if content.startswith(LFS_MAGIC):
        raise ModelError(
            f"graph {str(path)!r}: it is a pointer of Git LFS, not the file itself; fetch that with: git lfs pull"
        )
    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # the parser can raise anything on malformed bytes
        raise ModelError(f"graph {str(path)!r} cannot be read as ONNX ({error}); export it again") from error
    outside = [tensor for tensor in _tensors(model) if onnx.external_data_helper.uses_external_data(tensor)]
    files = _read_files({_location(tensor, path) for tensor in outside}, path, len(content))
    for tensor in outside:
        _bring_in(tensor, files[_location(tensor, path)], path)
    digest = hashlib.sha256(content)
    for name in sorted(files):
        digest.update(files[name])
    return model, digest.hexdigest()


def _read_files(names: set[str], path: Path, graph_bytes: int) -> dict[str, bytes]:
    """The contents of the files of weights; together with the graph they must fit into one message."""
    files: dict[str, bytes] = {}
    left = MAX_MODEL_BYTES - graph_bytes
    for name in sorted(names):
        file = path.parent / name
        if not file.resolve().is_relative_to(path.parent.resolve()):
            raise ModelError(
                f"graph {str(path)!r}: its weights are in {name!r}, wanted a file beside it; export it again"
            )
        try:
            files[name] = read_bytes(file, left)
        except OSError as error:
            raise ModelError(
                f"graph {str(path)!r}: its weights in {name!r} cannot be read ({error.strerror}); keep that file beside the graph, "
                "all together at most 2 GB, or export with external_data=False"
            ) from error
        left -= len(files[name])
    return files


def _location(tensor: TensorProto, path: Path) -> str:
    """The name of the file that holds a tensor, relative to the graph's folder."""
    name = next((str(entry.value) for entry in tensor.external_data if entry.key == "location"), "")
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise ModelError(
            f"graph {str(path)!r}: the weights of {tensor.name!r} are in {name!r}, wanted a file beside the graph; export it again"
        )
    return name


def _bring_in(tensor: TensorProto, content: bytes, path: Path) -> None:
    """Puts a tensor's part of a file into the tensor itself."""
    stated = {entry.key: entry.value for entry in tensor.external_data}
    try:
        offset = int(stated.get("offset", "0"))
        length = int(stated.get("length", str(len(content) - offset)))
        size = math.prod(tensor.dims) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (ValueError, KeyError, TypeError):
        offset = length = size = -1
    if offset < 0 or length != size or offset + length > len(content):
        raise ModelError(
            f"graph {str(path)!r}: {stated.get('location')!r} does not hold the weights of {tensor.name!r} where the graph says, "
            "it may be of another export; export both again"
        )
    tensor.raw_data = content[offset : offset + length]
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every constant of a model, in subgraphs and functions too."""
    waiting: list[GraphProto] = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while waiting or nodes:
        if waiting:
            graph = waiting.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
        while nodes:
            for attribute in nodes.pop().attribute:
                yield from ([attribute.t] if attribute.type == AttributeProto.TENSOR else attribute.tensors)
                waiting.extend([attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs)
