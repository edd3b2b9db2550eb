"""What recordings are called for people."""

from hypothesis import given
from hypothesis import strategies as st

from aves_verify.sounds.naming import PADDED, short_names

PATHS = st.lists(
    st.lists(
        st.sampled_from(["a", "b", "", "a.wav", "b.wav", "a.wav @ 3 s", "a.wav @ 3 s @ 3 s"]), min_size=1, max_size=4
    ).map("/".join),
    unique=True,
)


def shown(*names: str) -> list[str]:
    return list(map(short_names(names), names))


def test_the_last_part_is_enough_where_no_other_has_it() -> None:
    assert shown("/data/2024/owl.wav", "/data/2024/wren.wav") == ["owl.wav", "wren.wav"]


def test_folders_are_named_where_they_tell_files_apart() -> None:
    names = ("/data/dawn/r/owl.wav", "/data/dusk/r/owl.wav", "/data/dusk/r/wren.wav")
    assert shown(*names) == ["dawn/r/owl.wav", "dusk/r/owl.wav", "wren.wav"]


def test_a_path_that_ends_another_is_whole() -> None:
    assert shown("owl.wav", "dawn/owl.wav") == ["owl.wav", "dawn/owl.wav"]


def test_a_padded_clip_is_called_like_the_clip() -> None:
    short = short_names(["a/dawn/owl.wav", "a/dusk/owl.wav", f"a/dawn/owl.wav{PADDED}", "batch of 3", "chirp"])
    assert short(f"a/dawn/owl.wav{PADDED}") == f"dawn/owl.wav{PADDED}"
    assert short(f"a/dusk/owl.wav{PADDED}") == f"dusk/owl.wav{PADDED}"
    assert (short("batch of 3"), short("chirp")) == ("batch of 3", "chirp")


def test_windows_are_called_by_their_recording_and_where_they_start() -> None:
    """By the start alone nobody would know that these are two recordings."""
    names = ("a/dawn/owl.wav @ 0 s", "a/dusk/owl.wav @ 30 s", "a/dusk/owl.wav @ 2.5 s", "a/dusk/wren.wav @ 0 s")
    assert shown(*names) == ["dawn/owl.wav @ 0 s", "dusk/owl.wav @ 30 s", "dusk/owl.wav @ 2.5 s", "wren.wav @ 0 s"]
    assert shown(f"a/owl.wav @ 30 s{PADDED}", "10,000 windows") == [f"owl.wav @ 30 s{PADDED}", "10,000 windows"]


@given(PATHS)
def test_different_names_stay_different_ends_of_themselves(names: list[str]) -> None:
    short = shown(*names)
    assert len(set(short)) == len(names)
    assert all(name == end or name.endswith(f"/{end}") for name, end in zip(names, short, strict=True))


@given(PATHS)
def test_shortening_again_changes_nothing(names: list[str]) -> None:
    assert shown(*shown(*names)) == shown(*names)
