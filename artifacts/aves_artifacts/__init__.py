"""Encoders on disk and published: their geometry, bundles of their files, the catalogue, downloads, releases.

- ``EncoderConfig``: an encoder's geometry.
- ``Bundle``, ``Manifest``, ``read_bundle``, ``check_bundle``: an encoder's files in one folder, and whether they are
  whole.
- ``catalog``, ``Fetcher``: what is published, and how it comes here.
- ``InputError``, ``DoesNotHoldError``: what the three packages raise for bad input, and for what was verified and does
  not hold.

These names stay; modules below the package are private.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "Bundle",
    "DoesNotHoldError",
    "EncoderConfig",
    "Fetcher",
    "InputError",
    "Manifest",
    "catalog",
    "check_bundle",
    "read_bundle",
]

if TYPE_CHECKING:
    from aves_artifacts.base.errors import DoesNotHoldError, InputError
    from aves_artifacts.bundle.bundle import Bundle, read_bundle
    from aves_artifacts.bundle.check import check_bundle
    from aves_artifacts.bundle.manifest import Manifest
    from aves_artifacts.configurations.catalog import catalog
    from aves_artifacts.encoder import EncoderConfig
    from aves_artifacts.fetch.fetcher import Fetcher
else:
    from aves_artifacts.base.faces import lazily

    __getattr__, __dir__ = lazily(
        __name__,
        {
            "Bundle": "bundle.bundle",
            "DoesNotHoldError": "base.errors",
            "EncoderConfig": "encoder",
            "Fetcher": "fetch.fetcher",
            "InputError": "base.errors",
            "Manifest": "bundle.manifest",
            "catalog": "configurations.catalog",
            "check_bundle": "bundle.check",
            "read_bundle": "bundle.bundle",
        },
    )
