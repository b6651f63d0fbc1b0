"""Area under the ROC curve and average precision, with bootstrap confidence intervals."""

import numpy as np


def auroc(positives, negatives):
    """Return the chance that a positive scores above a negative, ties counting half."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    not_above = np.searchsorted(ordered, positives, "right")
    return float((below + not_above).mean() / 2 / len(ordered))


def average_precision(positives, negatives):
    """Return the mean over positives of the precision at the score of each."""
    n_positives = _count_at_least(positives, positives)
    n_negatives = _count_at_least(negatives, positives)
    return float((n_positives / (n_positives + n_negatives)).mean())


def _count_at_least(values, thresholds):
    return len(values) - np.searchsorted(np.sort(values), thresholds, "left")


def confidence_interval(statistic, positives, negatives, n_bootstraps, rng):
    """Return the 2.5th and 97.5th percentile over resamples of both classes."""
    values = [
        statistic(rng.choice(positives, len(positives)), rng.choice(negatives, len(negatives)))
        for _ in range(n_bootstraps)
    ]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
