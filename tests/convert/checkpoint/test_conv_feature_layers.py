import pytest

from aves_artifacts.base.errors import InputError
from aves_convert.checkpoint.conv_feature_layers import parse_conv_feature_layers

HUBERT = ((512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2)


@pytest.mark.parametrize(
    "text",
    [
        "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2",
        "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]",
        " [[512,10,5]] + 4 * [(512, 3, 2)] + 2*[(512, 2, 2),]\n",
        str(list(HUBERT)),
        str(HUBERT),
    ],
)
def test_what_fairseq_evaluates_is_parsed(text: str) -> None:
    assert parse_conv_feature_layers(text) == HUBERT
    assert tuple(tuple(layer) for layer in eval(text.strip())) == HUBERT  # noqa: S307 - our own text, as fairseq does


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "512",
        "[(512, 10)]",
        "[(512, 10, 5, 1)]",
        "[(512, 10, -5)]",
        "[(512, 10, 0)]",
        "[(512, 10, 5.0)]",
        "[(True, 10, 5)]",
        "[(512, 10, 2**40)]",
        "[(512, 10, 5)] * 1000000000",
        "[(512, 10, 5)] * 8 * 8 * 8",
        "[(512, 10, 5)] - [(512, 10, 5)]",
        "[(1, 1, 1) for _ in range(3)]",
        "__import__('os').system('true')",
        "[(512, 10, __import__('os').getpid())]",
        "(lambda: [(1, 1, 1)])()",
        "[" * 5000,
        "-" * 9999 + "1",
        "[(1,1,1)]" * 2000,
        "[(512, 10, 5)]\x00",
    ],
)
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match="conv_feature_layers") as caught:
        parse_conv_feature_layers(text)
    assert "\n" not in str(caught.value)
