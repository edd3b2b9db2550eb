"""Mistakes around the numbers: what files say of themselves, how others read them, and what stands for fairseq."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from safetensors import safe_open
from tests.support.pickle_bytes import Raw, name, opcodes
from tests.verify.faults.fault import FILE, OUTPUT, REFUSED, WAVEFORM, Fault, Kind, Port
from tests.verify.faults.weight_faults import in_config

from aves_artifacts.bundle.manifest import Manifest
from aves_artifacts.files.file_record import sha256_of
from aves_convert.torch_files.safetensors_writer import write_safetensors
from aves_verify.backends.recorded import KIND

Tensors = dict[str, np.ndarray]


def in_metadata(key: str, value: str, *, port: Port = "onnx", encoder: Kind = "post-norm") -> Fault:
    """A graph that computes what it should, and says something else of itself."""

    def damage(path: Path, graph: Path) -> None:
        model = onnx.load(graph)
        (entry,) = (entry for entry in model.metadata_props if entry.key == key)
        entry.value = value
        onnx.save(model, graph)
        if port == "bundle":
            _hashed_again(path, "onnx", graph)

    return Fault(f"metadata: another {key}", (FILE,), port, damage, encoder)


def _hashed_again(manifest: Path, role: str, path: Path) -> None:
    """Who changes a file may write its hash anew."""

    def change(entries: dict[str, Any]) -> None:
        entries["files"][role] |= {"sha256": sha256_of(path), "size": path.stat().st_size}

    _edited(manifest, change)


def _edited(manifest: Path, change: Callable[[dict[str, Any]], None]) -> None:
    entries = json.loads(manifest.read_text())
    change(entries)
    manifest.write_text(Manifest.from_json(json.dumps(entries)).to_json())


def in_manifest(name: str, *stages: str, encoder: Kind = "post-norm") -> Callable[[Callable[[Any], None]], Fault]:
    return lambda change: Fault(name, stages, "bundle", lambda path, _graph: _edited(path, change), encoder)


def records(change: Callable[[str, bytes], bytes | None]) -> Callable[[Path, Path], None]:
    """The weights' archive with records changed, or left out where ``change`` gives None."""

    def damage(weights: Path, _config: Path) -> None:
        with zipfile.ZipFile(weights) as old:
            held = {entry: old.read(entry) for entry in old.namelist()}
        with zipfile.ZipFile(weights, "w", zipfile.ZIP_STORED) as new:
            for entry, content in held.items():
                if (changed := change(entry, content)) is not None:
                    new.writestr(entry, changed)

    return damage


def on_a_gpu(entry: str, content: bytes) -> bytes:
    return content.replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0") if entry.endswith("data.pkl") else content


def with_state(weights: Path, _config: Path) -> None:
    """Each tensor with its negative as the state that torch puts in its place, which only some readers apply."""
    state, storages = torch.load(weights, weights_only=True), list[bytes]()
    pickled = b"\x80\x02}("
    for key, tensor in state.items():
        good, bad = (_rebuilt(array, storages) for array in (tensor.numpy(), -tensor.numpy()))
        other = Raw(REBUILD.opcodes + bad + b"R")
        arguments = (REBUILD, name("torch", "Tensor"), Raw(good), {"data": other})
        pickled += opcodes(key) + name("torch._tensor", "_rebuild_from_type_v2").opcodes + opcodes(arguments) + b"R"
    _archive(weights, pickled + b"u.", storages)


def parameter_with_state(weights: Path, _config: Path) -> None:
    """The same with the parameters that torch saves when they have attributes."""
    state = torch.load(weights, weights_only=True)
    changed = {}
    for key, tensor in state.items():
        changed[key] = torch.nn.Parameter(tensor)
        changed[key].other = torch.zeros(1)
    torch.save(changed, weights)


REBUILD = name("torch._utils", "_rebuild_tensor_v2")


def _rebuilt(array: np.ndarray, storages: list[bytes]) -> bytes:
    """The arguments from which torch rebuilds a tensor."""
    storages.append(np.ascontiguousarray(array).tobytes())
    stride = tuple(int(np.prod(array.shape[i + 1 :])) for i in range(array.ndim))
    kind = name("torch", "FloatStorage")
    stored = Raw(opcodes(("storage", kind, str(len(storages) - 1), "cpu", int(array.size))) + b"Q")
    shape = tuple(map(int, array.shape))
    hooks = Raw(name("collections", "OrderedDict").opcodes + b")R")
    return opcodes((stored, 0, shape, stride, False, hooks))


def _archive(path: Path, pickled: bytes, storages: list[bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/byteorder", "little")
        for i, content in enumerate(storages):
            archive.writestr(f"x/data/{i}", content)
        archive.writestr("x/version", "3\n")


def in_recording(
    title: str, *stages: str, encoder: Kind = "post-norm"
) -> Callable[[Callable[[Tensors, dict[str, Any]], None]], Fault]:
    """Change the outputs, or the description, of a recording that stands for fairseq."""

    def fault(change: Callable[[Tensors, dict[str, Any]], None]) -> Fault:
        def damage(recording: Path, _weights: Path) -> None:
            with safe_open(recording, "numpy") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
                about = json.loads(file.metadata()[KIND])
            change(tensors, about)
            write_safetensors(tensors, recording, metadata={KIND: json.dumps(about)})

        return Fault(title, stages, "recording", damage, encoder)

    return fault


def other_copy(manifest: Path, _graph: Path) -> None:
    """One bias of the safetensors copy, which no port is made of."""
    path = manifest.with_name("x.safetensors")
    with safe_open(path, "numpy") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    name = "encoder.transformer.layers.1.attention.k_proj.bias"
    write_safetensors({**tensors, name: tensors[name] + np.float32(1e-3)}, path)
    _hashed_again(manifest, "safetensors", path)


def says_twice(graph: Path, _same: Path) -> None:
    """An entry of the metadata before the right one: some readers take the first."""
    model = onnx.load(graph)
    model.metadata_props.insert(0, onnx.StringStringEntryProto(key="normalize", value="true"))
    onnx.save(model, graph)


def another_drop(about: dict[str, Any]) -> None:
    about["config"] = json.dumps({**json.loads(about["config"]), "encoder_layer_drop": 0.5})


def every(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensors, dict[str, Any]], None]:
    return lambda tensors, _: tensors.update({key: change(a).astype(np.float32) for key, a in tensors.items()})


def less_exact(a: np.ndarray) -> np.ndarray:
    """Noise a thousand times what float32 leaves."""
    noisy: np.ndarray = a + 5e-4 * np.random.default_rng(0).standard_normal(a.shape)
    return noisy


def a_little_less_exact(a: np.ndarray) -> np.ndarray:
    """Ten times and more, which is still below what is suspicious in itself."""
    noisy: np.ndarray = a + 9.5e-6 * np.random.default_rng(0).standard_normal(a.shape)
    return noisy


FILE_FAULTS: tuple[Fault, ...] = (
    in_metadata("normalize", "true"),
    in_metadata("sample_rate", "44100"),
    in_metadata("hop", "160"),
    in_metadata("receptive_field", "401"),
    in_metadata("dimension", "768"),
    in_metadata("source_sha256", "0" * 64),
    in_metadata("configuration", "aves-base-core", port="bundle"),
    Fault("metadata: normalize twice", (FILE,), "onnx", says_twice),
    in_config("config: another layer drop", FILE, encoder_layer_drop=0.5),
    in_config("config: no dropout", FILE, encoder_dropout=0.0),
    in_config("config: aux_num_out is null", REFUSED, aux_num_out=None),
    in_config("config: a head that is not there", REFUSED, FILE, aux_num_out=32),
    in_manifest("manifest: another normalize", WAVEFORM)(lambda m: m["encoder"].update(normalize=True)),
    in_manifest("manifest: another sample rate", FILE)(lambda m: m["encoder"].update(sample_rate=44100)),
    in_manifest("manifest: another hop", FILE)(lambda m: m["encoder"].update(hop=160)),
    in_manifest("manifest: another layer drop", FILE)(lambda m: m["config"].update(encoder_layer_drop=0.5)),
    Fault("safetensors: a bias of other weights", (FILE,), "bundle", other_copy),
    in_manifest("manifest: another source", FILE)(lambda m: m["source"].update(sha256="0" * 64)),
    in_manifest("manifest: the hash of another file", FILE)(lambda m: m["files"]["torchaudio"].update(sha256="0" * 64)),
    Fault("tensors with state, which torch applies", (REFUSED,), "torchaudio", with_state),
    Fault("parameters with state, which torch applies", (REFUSED,), "torchaudio", parameter_with_state),
    Fault("weights saved on a GPU", (FILE,), "torchaudio", records(on_a_gpu)),
    Fault("weights without their version record", (FILE, REFUSED), "torchaudio",
          records(lambda entry, content: None if entry.endswith("/version") else content)),
    in_recording("reference less exact than float32", OUTPUT)(every(less_exact)),
    in_recording("reference ten times less exact", OUTPUT)(every(a_little_less_exact)),
    in_recording("reference of another layer drop", FILE)(lambda _, about: another_drop(about)),
    in_recording("reference in half precision", OUTPUT)(every(lambda a: a.astype(np.float16))),
    in_recording("reference off by one frame", OUTPUT)(every(lambda a: np.roll(a, 1, axis=1))),
    in_recording("reference of other weights", REFUSED)(lambda _, about: about.update(weights="0" * 64)),
    in_recording("reference with another normalize", REFUSED, WAVEFORM)(
        lambda _, about: about.update(normalize=not about["normalize"])
    ),
    in_recording("reference with a NaN", OUTPUT)(every(lambda a: np.where(a == a.max(), np.nan, a))),
)  # fmt: skip
