"""Regressions put into the converter, to see that the legs notice them and name the cause."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch

import aves_convert.conversion.convert
from aves_convert.weights.model import load_model
from aves_convert.weights.to_torchaudio import TorchaudioPort

ROUNDED = "encoder.transformer.layers.0.attention.k_proj.weight"


@contextlib.contextmanager
def keys_of_this_torch() -> Iterator[None]:
    """The file gets the names that this torch gives the model's weights: from 2.1 on those of the parametrisation."""
    write = aves_convert.conversion.convert.write_torchaudio_files

    def changed(converted: TorchaudioPort, *arguments: Any) -> None:
        state = load_model(converted.config, converted.state_dict).state_dict()
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        write(dataclasses.replace(converted, state_dict=arrays), *arguments)

    with mock.patch.object(aves_convert.conversion.convert, "write_torchaudio_files", changed):
        yield


@contextlib.contextmanager
def one_tensor_in_half_precision() -> Iterator[None]:
    """One matrix goes through float16 on its way."""
    convert = aves_convert.conversion.convert.to_torchaudio

    def changed(*arguments: Any, **options: Any) -> TorchaudioPort:
        converted = convert(*arguments, **options)
        rounded = {ROUNDED: converted.state_dict[ROUNDED].astype(np.float16).astype(np.float32)}
        return dataclasses.replace(converted, state_dict={**converted.state_dict, **rounded})

    with mock.patch.object(aves_convert.conversion.convert, "to_torchaudio", changed):
        yield


@contextlib.contextmanager
def exporter_flipped() -> Iterator[None]:
    """``torch.onnx.export`` takes its newer exporter, as it does from torch 2.9 on for who does not say otherwise."""
    export: Any = torch.onnx.export
    if not has_dynamo():
        yield
        return

    def flipped(*arguments: Any, **options: Any) -> Any:
        return export(*arguments, **{**options, "dynamo": True})

    flipped.__signature__ = inspect.signature(export)  # type: ignore[attr-defined]
    with mock.patch.object(torch.onnx, "export", flipped):
        yield


def has_dynamo() -> bool:
    """Can this torch's ``torch.onnx.export`` be told to take the newer exporter?"""
    return "dynamo" in inspect.signature(torch.onnx.export).parameters


PLANTS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "nothing": contextlib.nullcontext,
    "keys": keys_of_this_torch,
    "half": one_tensor_in_half_precision,
    "exporter": exporter_flipped,
}
