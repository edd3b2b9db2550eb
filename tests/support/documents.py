"""A config and a manifest, made by hand: no file need be there for them."""

from __future__ import annotations

from typing import Any

from aves_artifacts.bundle.manifest import FILE_NAMES, EncoderFacts, LedgerEntry, Manifest, Role, SourceRecord
from aves_artifacts.encoder import EncoderConfig
from aves_artifacts.files.file_record import FileRecord

BASE = EncoderConfig(
    extractor_mode="group_norm",
    extractor_conv_layer_config=((512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2),
    extractor_conv_bias=False,
    encoder_embed_dim=768,
    encoder_projection_dropout=0.1,
    encoder_pos_conv_kernel=128,
    encoder_pos_conv_groups=16,
    encoder_num_layers=12,
    encoder_num_heads=12,
    encoder_attention_dropout=0.1,
    encoder_ff_interm_features=3072,
    encoder_ff_interm_dropout=0.0,
    encoder_dropout=0.1,
    encoder_layer_norm_first=False,
    encoder_layer_drop=0.05,
)

HASH = "0" * 64
MAPPED = LedgerEntry("a", "b", "mapped", "", (2,), "float32", HASH)
DROPPED = LedgerEntry("a", None, "dropped", "ö: not needed", (2,), "float32", HASH)
SOURCE = SourceRecord("x.pt", 1, HASH, model_class="hubert", num_updates=None, stand_in=False)


def a_manifest(**entries: Any) -> Manifest:
    roles: tuple[Role, ...] = ("torchaudio", "config", "safetensors", "onnx", "card")
    given: dict[str, Any] = {
        "name": "x",
        "files": {role: FileRecord(FILE_NAMES[role].format(name="x"), 1, HASH) for role in roles},
        "source": SOURCE,
        "encoder": EncoderFacts.of(BASE, sample_rate=16_000, normalize=False),
        "config": BASE,
        "ledger": (MAPPED, DROPPED),
        "versions": {"aves-ports": "0.1.0", "python": "3.11.7", "torch": "2.8.0"},
        "citation": 'A "quoted" title, \\ and "ledger": []',
    }
    return Manifest(**given | entries)
