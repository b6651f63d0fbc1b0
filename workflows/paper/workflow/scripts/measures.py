"""What is measured of a contribution track: totals under matches, the share of misses, noise, agreement."""

import numpy as np


def auroc(positives, negatives):
    """Return the chance that a positive scores above a negative, ties counting half."""
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    not_above = np.searchsorted(ordered, positives, "right")
    return float((below + not_above).mean() / 2 / len(ordered))


def complain(areas, least, n_sequences):
    """Return what is wrong with a network whose AUROC is too low for some task, or nothing."""
    poor = [f"{task} {area:.4f}" for task, area in areas.items() if area < least]
    if not poor:
        return ""
    return (
        f"AUROC on the {n_sequences} held-out sequences is below {least} for {', '.join(poor)}: "
        "train longer (training: epochs, patience) or with another seed"
    )


def totals(track, regions, starts, ends):
    """Return the sum of the track under each match.

    Parameters
    ----------
    track : float, shape (region, position)
    regions, starts, ends : int, shape (match,)
        Index of the region; 0-based half-open positions.
    """
    sums = np.pad(np.asarray(track, dtype=float).cumsum(1), ((0, 0), (1, 0)))
    return sums[regions, ends] - sums[regions, starts]


def count_missed(totals, log_odds, strong):
    """Return how many matches are strong, and how many of these have a total of zero or less."""
    found = totals[log_odds >= strong]
    return len(found), int((found <= 0).sum())


def wilson_interval(n_missed, n):
    """Return the 95 % confidence interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22:209-212)."""
    if n == 0:
        return float("nan"), float("nan")
    z = 1.96
    share = n_missed / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # Rounded, so that of none missed the lower limit is 0.
    return round(max(0.0, middle - half), 9), round(min(1.0, middle + half), 9)


def noise(track, is_motif):
    """Compare positions outside motifs with those under them.

    Parameters
    ----------
    track : float, shape (region, position)
    is_motif : bool, shape (region, position)
        Under an inserted instance or a strong match.

    Returns
    -------
    dict
        Mean |score| and standard deviation outside, mean |score| inside, and both of the former over the latter.
    """
    inside = float(np.abs(track[is_motif]).mean())
    outside = track[~is_motif]
    mean, deviation = float(np.abs(outside).mean()), float(outside.std())
    return {
        "inside_mean_abs": inside,
        "outside_mean_abs": mean,
        "outside_sd": deviation,
        "mean_abs_ratio": mean / inside,
        "sd_ratio": deviation / inside,
    }


def correlation(a, b):
    """Return Pearson's correlation of two tracks, over all positions of all regions."""
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])
