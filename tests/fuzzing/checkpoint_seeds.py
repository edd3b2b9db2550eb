"""What fuzzing of checkpoints begins with: the files of ``hostile_files``, and pickles of every kind of value.

A seed's first byte says what the rest is: a whole file, or a pickle inside a file that is valid otherwise.
"""

from __future__ import annotations

from tests.support import hostile_files
from tests.support.hostile_files import PAYLOADS, STREAMS, TENSORS
from tests.support.pickle_bytes import Raw, checkpoint, name, new, opcodes, pickled, reduced, tensor
from tests.support.torch_file_bytes import legacy, torch_zip, with_entries


def file_of(data: bytes) -> bytes:
    """The file that an input stands for."""
    mode, rest = data[:1], data[1:]
    if mode == b"p":
        return torch_zip(rest)
    if mode == b"m":
        return torch_zip(checkpoint(model=Raw(rest)))
    if mode == b"c":
        return torch_zip(checkpoint(cfg={"model": {"entry": Raw(rest)}, "task": {}}))
    if mode == b"t":
        return torch_zip(checkpoint(task_state={"dictionaries": [Raw(rest)]}, optimizer_history=[Raw(rest)]))
    if mode == b"w":
        return torch_zip({"state_dict": Raw(rest), "epoch": 1})
    if mode == b"s":
        parts = {"model_cfg": {"entry": Raw(rest)}, "task_cfg": {}, "dictionaries_symbols": [Raw(rest)]}
        return torch_zip({**parts, "model_weight": checkpoint()["model"]})
    if mode == b"l":
        return legacy(checkpoint(model={"mask_emb": Raw(rest)}))
    if mode == b"v":
        return legacy(checkpoint(model={"mask_emb": Raw(rest)}), numel=24)
    return data


def seeds() -> list[bytes]:
    """Every seed of less than 20 KB."""
    found = [b"p" + pickled(checkpoint()), b"m" + opcodes(checkpoint()["model"])]
    found += [hostile.make() for hostile in hostile_files.HOSTILE_FILES if not hostile.name.startswith("gadget")]
    found += [legacy(checkpoint()), with_entries(), pickled({"a": 1})]
    found += [mode + raw.opcodes for raw, _ in (PAYLOADS | TENSORS).values() for mode in (b"c", b"t", b"l")]
    found += [b"c" + opcodes(root["cfg"]) for root, _ in STREAMS.values() if isinstance(root, dict) and "cfg" in root]
    found += [mode + opcodes(value) for value in _settings() for mode in (b"c", b"s")]
    found += [b"w" + opcodes({prefix + name: tensor() for name in _NAMES}) for prefix in ("", "model.", "w2v_encoder.")]
    found.append(b"t" + opcodes(new(name("fairseq.data.dictionary", "Dictionary"), {"symbols": ["a", "b"]})))
    untyped = Raw(opcodes(("storage", name("torch.storage", "UntypedStorage"), "0", "cpu", 24, ("view", 8, 16))) + b"Q")
    rebuild, float32 = name("torch._utils", "_rebuild_tensor_v3"), name("torch", "float32")
    found.append(b"v" + opcodes(reduced(rebuild, untyped, 1, (3,), (1,), False, None, float32)))
    found.append(b"\x08\x08\x12\x04test\x3a\x00")  # an ONNX model of an empty graph
    return [seed for seed in found if len(seed) < 20_000]


_NAMES = (
    "feature_extractor.conv_layers.0.0.weight",
    "feature_extractor.conv_layers.0.2.weight",
    "encoder.pos_conv.0.weight_v",
    "encoder.layer_norm.weight",
    "encoder.layers.0.self_attn_layer_norm.weight",
    "encoder.layers.0.self_attn.k_proj.weight",
    "encoder.layers.0.fc1.weight",
    "label_embs_concat",
    "quantizer.vars",
)


def _settings() -> list[object]:
    """Every kind of value that settings are made of."""
    encoded = reduced(name("_codecs", "encode"), "\3\0\0\0", "latin1")
    dtype = Raw(reduced(name("numpy", "dtype"), "i4", False, True).opcodes + opcodes((3, "<", None)) + b"b")
    node = new(name("omegaconf.nodes", "AnyNode"), {"_val": 2.5, "_parent": None})
    config = new(name("omegaconf.dictconfig", "DictConfig"), {"_content": {"a": node, "b": "${model.entry.a}"}})
    return [
        config,
        {"model": {"x": "${task.y}"}, "task": {"y": 3}},
        new(name("omegaconf.listconfig", "ListConfig"), {"_content": [node, config]}),
        new(name("argparse", "Namespace"), {"x": [1, (2, "three")]}),
        reduced(name("numpy.core.multiarray", "scalar"), dtype, encoded),
        reduced(name("pathlib", "PosixPath"), "/", "data"),
        reduced(name("fairseq.dataclass.constants", "Choices"), "layer_norm"),
        reduced(name("builtins", "set"), [1, 2]),
        {reduced(name("fairseq.dataclass.constants", "Choices"), "key"): 1},
        (1, 2.5, None, True, encoded),
    ]
