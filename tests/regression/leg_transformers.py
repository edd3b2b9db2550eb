"""In a leg: the folder of each model beside the transformers that is installed here."""

from __future__ import annotations

from collections.abc import Iterator

from tests.regression.leg_files import Ported
from tests.regression.models import FULL_SIZE, QUICK

from aves_convert.hugging_face.folder import open_folder
from aves_convert.weights.to_torchaudio import to_torchaudio
from aves_verify.backends.transformers_model import TransformersBackend
from aves_verify.loading.folder_against_original import folder_weights
from aves_verify.loading.folder_as_documented import folder_differences

# Loaded by from_pretrained too, in a process of its own for each, which takes seconds: one of each kind, and the one of
# the table.
DOCUMENTED = (*QUICK, FULL_SIZE)


def backend_of(ported: Ported) -> TransformersBackend:
    """The class of the library with the folder's weights. Raises InputError where this version does not make it."""
    return TransformersBackend(open_folder(ported.folder))


def loading_problems(ported: Ported, backend: TransformersBackend) -> Iterator[str]:
    """Where the folder's weights are not the original's, or ``from_pretrained`` makes another model of them."""
    checkpoint = ported.checkpoint
    problems = [*folder_weights(to_torchaudio(checkpoint).state_dict, backend).problems]
    if ported.name in DOCUMENTED:
        normalize = checkpoint.task_config.get("normalize") is True
        problems += [each.text for each in folder_differences(backend, normalize=normalize)]
    yield from (problem.replace(f"{ported.folder.parent}/", "") for problem in problems)
