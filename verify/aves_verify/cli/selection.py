"""What the options of aves-verify select: configurations of the catalogue, a bundle, or single files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aves_artifacts.base.errors import InputError
from aves_artifacts.configurations.catalog import Configuration, catalog, named
from aves_convert.conversion.request import by_layer
from aves_convert.graph.options import Layers
from aves_verify.backends.backend import ONNX_RUNTIME
from aves_verify.subjects import subject
from aves_verify.subjects.published import Ports, bring, of_configuration
from aves_verify.subjects.subject import Pending, ready


@dataclass(frozen=True)
class Selection:
    """The options that say what is verified, under the names that they have on the command line."""

    names: tuple[str, ...] = ()
    all_configs: bool = False
    stand_in: bool = False
    download: bool = False
    ports: Ports = "made"
    bundle: Path | None = None
    fairseq: Path | None = None
    pretrained: Path | None = None
    geometry: str | None = None
    reference: Path | None = None
    torchaudio: Path | None = None
    config: Path | None = None
    onnx: Path | None = None
    reduced: tuple[Path, ...] = ()
    transformers: Path | None = None
    heads: Path | None = None
    centroids: tuple[str, ...] = ()

    def subjects(self, layers: Layers) -> list[Pending]:
        """One subject for each configuration. Raises InputError for options that do not go together."""
        self._check()
        if self.names or self.all_configs:
            chosen = self._chosen()
            if self.download:
                bring([found for found in chosen if isinstance(found, Configuration)], self.ports, layers)
            return [self._of_name(found, layers) for found in chosen]
        if self.bundle is not None:
            found = subject.of_bundle(self.bundle, self.fairseq, transformers=self.transformers)
        else:
            found = subject.of_files(
                self.fairseq, self.torchaudio, self.config, self.onnx, self.transformers, self.reduced
            )
            found = dataclasses.replace(found, heads=self.heads)
        completed = dataclasses.replace(found, pretrained=self.pretrained, geometry=self.geometry)
        given = by_layer(self.centroids)
        return [ready(dataclasses.replace(completed, recording=self.reference, centroids=given))]

    def _chosen(self) -> list[Configuration | Path]:
        """What the names stand for; all configurations are those that have an original to compare with."""
        if self.all_configs:
            return [configuration for configuration in catalog().values() if configuration.has_original]
        return named(self.names)

    def _of_name(self, chosen: Configuration | Path, layers: Layers) -> Pending:
        if isinstance(chosen, Path):
            if self.stand_in:
                raise InputError(f"{chosen}: --stand-in goes with a configuration of the catalogue, this is a file")
            made = subject.converted(chosen, layers=layers, pretrained=self.pretrained, geometry=self.geometry)
            return Pending(chosen.stem, "file", made)
        if self.pretrained is not None or self.geometry is not None:
            raise InputError(f"{chosen.name}: --pretrained and --geometry complete a file, this is of the catalogue")
        if self.stand_in:
            made = subject.stand_in_for(chosen, geometry=subject.geometry_of(chosen), layers=layers)
            return Pending(chosen.name, "stand-in", made)
        return ready(of_configuration(chosen, self.ports))

    def _check(self) -> None:
        names = bool(self.names) or self.all_configs
        ports = any((self.torchaudio, self.config, self.onnx, self.reduced)) or (
            self.bundle is None and bool(self.transformers)
        )
        alone = self.fairseq is not None and not (names or self.bundle)  # an original by itself can be recorded
        if sum((names, self.bundle is not None, ports or alone)) != 1:
            raise InputError(
                "expected one of: NAME… or --all-configs; --bundle DIR; --fairseq, --torchaudio with --config, --onnx, "
                "--reduced, --transformers. "
                "Start with: aves-verify --all-configs --stand-in"
            )
        if self.stand_in and not names:
            raise InputError("--stand-in goes with NAME… or --all-configs")
        if (self.download or self.ports == "published") and (self.stand_in or not names):
            raise InputError("--download and --ports go with NAME… or --all-configs, and without --stand-in")
        if self.heads is not None and self.torchaudio is None:
            raise InputError("--heads goes with --torchaudio: it is what those weights have no place for")
        completing = any((self.pretrained, self.geometry))  # the path of a checkpoint is a name too
        if (names and any((self.fairseq, self.transformers, self.reference, self.centroids))) or (
            self.all_configs and completing
        ):
            raise InputError("NAME… or --all-configs take no files; for files leave the names out")
        if self.bundle is not None and ports:
            raise InputError(
                "--bundle goes with --fairseq, --transformers, --pretrained, --geometry and --reference alone; for "
                "other files leave --bundle out"
            )
        for option, given in (("--pretrained", self.pretrained), ("--geometry", self.geometry)):
            if given is not None and self.fairseq is None and not names:
                raise InputError(f"{option} goes with --fairseq: it completes the original's settings")
        if self.fairseq is not None and self.fairseq.is_dir():
            raise InputError(f"{self.fairseq}: a folder, no checkpoint of fairseq", hint="give it with {transformers}")
        if self.bundle is not None and self.fairseq is not None and self.transformers is not None:
            raise InputError("--bundle goes with the original that it was made from: --fairseq or --transformers")
        if self.reference is not None and self.fairseq is not None:
            raise InputError("--reference takes the original's place; leave --fairseq out, or compare with it alone")


@dataclass(frozen=True)
class BackendOptions:
    """The options that say how backends run, under the names that they have on the command line."""

    onnx_provider: str | None = None
    openvino_device: str | None = None
    openvino_precision: str | None = None
    backend_options: tuple[str, ...] = ()

    def by_backend(self, backends: Sequence[str] = ()) -> dict[str, dict[str, str]]:
        """Sort what was given by backend: a provider is for all graphs that ONNX Runtime runs, of these ``backends``.

        Without any it is for all that there may be. Raises InputError for what is no option of a backend.
        """
        graphs = [name for name in backends or ONNX_RUNTIME if name in ONNX_RUNTIME]
        given: dict[tuple[str, str], str | None] = {
            **{(name, "provider"): self.onnx_provider for name in graphs or ("onnx",)},
            ("openvino", "device"): self.openvino_device,
            ("openvino", "precision"): self.openvino_precision,
        }
        for text in self.backend_options:
            key, equals, value = text.partition("=")
            backend, dot, option = key.rpartition(".")  # of onnx.int8.threads the last part
            if not (backend and dot and option and equals):
                raise InputError(f"--backend-option {text}: expected BACKEND.OPTION=VALUE, such as openvino.threads=1")
            given[backend, option] = value
        found: dict[str, dict[str, str]] = {}
        for (backend, option), chosen in given.items():
            if chosen is not None:
                found.setdefault(backend, {})[option] = chosen
        return found
