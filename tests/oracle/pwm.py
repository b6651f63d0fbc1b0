"""Find the best match to a motif, letter by letter and on both strands.

Log-odds in bits, of a motif's frequencies against 0.25 for each base.

References
----------
Stormo (2000), Bioinformatics 16:16-23, "DNA binding sites: representation and discovery".
"""

import math
from pathlib import Path

BACKGROUND = 0.25
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def read_pwm(path: Path) -> list[dict[str, float]]:
    """Read the first motif of a MEME file: for each position a dict from base to log-odds.

    One site is added, spread evenly over the bases, so that a base never seen has a finite value.
    """
    lines = path.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("letter-probability matrix"))
    words = lines[first].split()
    width = int(words[words.index("w=") + 1])
    n_sites = float(words[words.index("nsites=") + 1])
    pwm = []
    for line in lines[first + 1 : first + 1 + width]:
        counts = {base: float(x) * n_sites for base, x in zip("ACGT", line.split(), strict=True)}
        pwm.append(
            {
                base: math.log2((count + BACKGROUND) / (n_sites + 1) / BACKGROUND)
                for base, count in counts.items()
            }
        )
    return pwm


def best_match(sequence: str, pwm: list[dict[str, float]]) -> tuple[int, int, str, float]:
    """Return start, end (0-based half-open, forward strand), strand and log-odds of the best match.

    Of equal matches the leftmost, and there the forward strand. Windows with anything but A, C, G
    and T do not match.
    """
    width = len(pwm)
    best = (-1, -1, ".", -math.inf)
    for start in range(len(sequence) - width + 1):
        site = sequence[start : start + width].upper()
        if set(site) - set("ACGT"):
            continue
        for strand, letters in (("+", site), ("-", site.translate(COMPLEMENT)[::-1])):
            score = sum(column[base] for column, base in zip(pwm, letters, strict=True))
            if score > best[3]:
                best = (start, start + width, strand, score)
    return best
