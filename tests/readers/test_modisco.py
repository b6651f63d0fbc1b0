"""tf-modisco-lite on the demo's scores: it finds the motif of CTCF."""

import h5py
import numpy as np

from tests.readers import commands
from tests.readers.commands import MOTIFS, read_with

pytestmark = commands.pytestmark


def read_patterns(path):
    """The sequence matrix and the number of seqlets of each pattern, by name."""
    with h5py.File(path) as file:
        return {
            f"{sign}/{name}": (pattern["sequence"][:], int(pattern["seqlets/n_seqlets"][0]))
            for sign in ("pos_patterns", "neg_patterns")
            for name, pattern in file.get(sign, {}).items()
        }


def best_correlation(pattern, motif):
    """The highest correlation of all places, on either strand, where the whole motif fits."""
    return max(
        np.corrcoef(strand[i : i + len(motif)].ravel(), motif.ravel())[0, 1]
        for strand in (pattern, pattern[::-1, ::-1])
        for i in range(len(strand) - len(motif) + 1)
    )


def require_ctcf(path, motif):
    """Hold that one motif was found, at nearly every peak, and that it is CTCF's."""
    ((name, (matrix, n_seqlets)),) = read_patterns(path).items()
    assert name == "pos_patterns/pattern_0"
    assert n_seqlets >= 20
    correlation = best_correlation(matrix, motif)
    assert correlation > 0.9
    rng = np.random.default_rng(0)
    others = [best_correlation(matrix, rng.permutation(motif)) for _ in range(50)]
    assert max(others) < 0.8 * correlation


def test_the_motif_of_ctcf_is_found_in_the_scores_file(patterns, motif):
    require_ctcf(patterns, motif)


def test_the_pair_of_npz_gives_the_same_motifs(demo, patterns, tmp_path):
    pair = ("-s", "ctcf.ohe.npz", "-a", "ctcf.shap.npz")
    read_with(demo, "modisco", *MOTIFS, *pair, "-o", tmp_path / "again.h5")
    expected, found = read_patterns(patterns), read_patterns(tmp_path / "again.h5")
    assert found.keys() == expected.keys()
    for name, (matrix, n_seqlets) in expected.items():
        assert found[name][1] == n_seqlets
        np.testing.assert_array_equal(found[name][0], matrix)


def test_it_is_found_in_half_precision(demo, motif, tmp_path):
    read_with(demo, "modisco", *MOTIFS, "-i", "bpnet.h5", "-o", tmp_path / "half.h5")
    require_ctcf(tmp_path / "half.h5", motif)
