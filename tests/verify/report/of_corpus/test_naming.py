"""A corpus names its windows and recordings as the comparisons beside it do."""

from tests.support import hand_made, reported_corpus

from aves_verify.report.naming import for_people


def test_windows_recordings_and_failures_have_the_same_short_names() -> None:
    (config,) = for_people(hand_made.report(reported_corpus.corpus_config())).configs
    corpus = config.corpus
    assert corpus is not None
    assert {w.recording for w in corpus.worst} == {"dawn/seal.wav", "dusk/seal.wav", "gull.flac", "owl.wav"}
    assert {w.comparison.clip for w in corpus.worst} <= {c.clip for c in config.comparisons}
    assert corpus.failures[0].where == "dawn/seal.wav @ 30 s"
    assert corpus.failures[1].where == "notes.wav"
    held = [comparison for comparison in config.comparisons if corpus.holds(comparison)]
    assert len(held) == len(corpus.worst) + 1 + len(corpus.totals)
    assert [comparison.clip for comparison in config.whole] == ["10,000 windows together"] * 2
    assert sum(config.statuses.values()) == 4 + 2 * 10_000
