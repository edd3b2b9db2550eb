import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package ``shop`` with a lazy name in a module of it."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from aves_artifacts.base.faces import lazily\n"
        "__getattr__, __dir__ = lazily(__name__, {'bread': 'shelf', 'air': 'shelf'})\n"
    )
    (folder / "shelf.py").write_text("bread = ['loaf']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.mark.usefixtures("package")
def test_a_name_is_imported_when_it_is_first_asked_for() -> None:
    import shop

    assert "shop.shelf" not in sys.modules
    assert dir(shop) == ["air", "bread"]
    assert "shop.shelf" not in sys.modules
    from shop import bread
    from shop.shelf import bread as itself

    assert shop.bread is bread is itself


@pytest.mark.usefixtures("package")
def test_other_names_are_missing_as_in_any_module() -> None:
    import shop

    assert not hasattr(shop, "cake")
    with pytest.raises(ImportError, match="cannot import name 'cake' from 'shop'"):
        from shop import cake  # noqa: F401
    with pytest.raises(AttributeError, match=r"module 'shop\.shelf' has no attribute 'air'"):
        shop.air  # noqa: B018


def test_what_a_module_itself_lacks_is_told(package: Path) -> None:
    import shop

    (package / "shelf.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        shop.bread  # noqa: B018
