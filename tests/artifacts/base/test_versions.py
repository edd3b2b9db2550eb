import importlib.metadata

from aves_artifacts.base.versions import own_version, version_of


def test_versions_are_those_of_the_metadata() -> None:
    assert own_version() == version_of("aves-ports") == importlib.metadata.version("aves-ports")
    assert version_of("no-such-package-as-this") is None
