"""What a run should do: the options of `seqlift score`.

A plan knows the names of the files it leads to, so that they can be checked before anything else.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from seqlift.errors import UsageError
from seqlift.explainer_options import find_method
from seqlift.model.load import LoadedModel
from seqlift.model.options import parse_pairs
from seqlift.model.target_lists import expand
from seqlift.opening import Input, require_one_input
from seqlift.schemes import label_of, require_schemes
from seqlift.sequence.references import DEFAULT_SCHEME, require_shuffles
from seqlift.shards import Shard

__all__ = ["ON_INCOMPLETE", "Plan"]

ON_INCOMPLETE = ("warn", "fail", "ignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Input):
    """What to score and how; the options of `seqlift score` under the same names.

    Parameters
    ----------
    models, weights : tuple of str
        See `seqlift.model.load.load_model`; one of either may go with several of the other.
    output : str
        Prefix of the files to write.
    genome, regions, fasta, fai, contig_style, edges, length
        See `seqlift.opening.Input`.
    """

    models: tuple[str, ...]
    output: str
    weights: tuple[str, ...] = ()
    strands: str = "forward"
    swapped: tuple[str, ...] = ()
    stranded: bool = False
    targets: tuple[str, ...] = ("0",)
    target_activation: str = "auto"
    method: str = "deeplift"
    rules: str = "rescale"
    steps: int = 50
    window: int = 10
    stride: int = 1
    references: tuple[str, ...] = ()
    background: str | None = None
    n_references: int = 20
    reference_error: float | None = None
    estimator: str = "plain"
    seed: int = 0
    device: str | None = None
    batch_size: int | None = None
    threads: int | None = None
    precision: str = "float32"
    compile: str = "auto"
    overlap: str = "nearest"
    logos: int = 0
    on_incomplete: str = "warn"
    shard: str | None = None
    resume: bool = False
    force: bool = False
    command_line: str = ""

    def __post_init__(self) -> None:
        require_one_input(self)
        if not Path(self.output).name or self.output.endswith("/"):
            raise UsageError(
                f"the output {self.output!r} is a folder; give a prefix such as "
                f"{Path(self.output) / 'scores'}"
            )
        if self.shard is not None:
            Shard.parse(self.shard)
            if self.logos:
                raise UsageError(
                    "the strongest regions of a shard are not those of all; leave out --logos, "
                    "and give it to seqlift merge instead"
                )
        object.__setattr__(self, "targets", expand(self.targets))
        self._choose_references()
        require_schemes(self.references, self.background, has_genome=self.fasta is None)

    def load(self) -> list[LoadedModel]:
        """Load every model of the ensemble.

        Raises
        ------
        ModelError, UsageError
        """
        n = max(len(self.models), len(self.weights))
        if any(len(given) not in (0, 1, n) for given in (self.models, self.weights)):
            raise UsageError(
                f"found {len(self.models)} models and {len(self.weights)} files of weights; "
                "expected as many of both, or one of either"
            )
        models = self.models * (n if len(self.models) == 1 else 1)
        weights = (self.weights or (None,)) * (n if len(self.weights) < 2 else 1)
        return [self.load_one(m, w) for m, w in zip(models, weights, strict=True)]

    @property
    def swapped_targets(self) -> dict[str, str]:
        """The targets that change places on the reverse strand."""
        return parse_pairs(self.swapped, "--swap-targets TARGET=TARGET")

    def _choose_references(self) -> None:
        """Take the method's own references where none are named."""
        compares = find_method(self.method).uses_references
        if not compares and (self.references or self.reference_error is not None):
            raise UsageError(
                f"the method {self.method} compares with no references; leave out "
                f"{'--references' if self.references else '--reference-error'}"
            )
        if self.reference_error is not None and not 0 < self.reference_error < 1:
            raise UsageError(
                f"reference error {self.reference_error:g} is no share of a region's largest "
                "score; expected a number between 0 and 1, such as 0.05"
            )
        if compares:
            for scheme in self.references:
                require_shuffles(scheme, self.estimator)
        if not self.references:
            own = (DEFAULT_SCHEME if compares else "zeros",)
            object.__setattr__(self, "references", own)

    @property
    def schemes(self) -> tuple[str, ...]:
        """What files and tables call the schemes of `references`."""
        return tuple(label_of(word) for word in self.references)

    def rows(self, n_rows: int) -> range:
        """Return which rows of the input are scored, counting from 0."""
        return range(n_rows) if self.shard is None else Shard.parse(self.shard).rows(n_rows)

    @property
    def journal(self) -> Path:
        """Where an unfinished run keeps what it has done."""
        return Path(f"{self.output}.unfinished")

    def determines(self) -> dict[str, Any]:
        """Return the options that the scores depend on, where a run says no more of them."""
        return {k: v for k, v in asdict(self).items() if k not in _WITHOUT_EFFECT}

    def result(self, target: str, scheme: str) -> str:
        """Name what was scored for a target against a scheme: TARGET, or TARGET.SCHEME."""
        return f"{target}.{scheme}" if len(self.references) > 1 else target

    def file(self, ending: str, target: str | None = None, scheme: str | None = None) -> Path:
        """Return the path of a result, named for what there are several of: targets, schemes."""
        middle = f".{_in_names(target)}" if target is not None and len(self.targets) > 1 else ""
        middle += f".{scheme}" if scheme is not None and len(self.references) > 1 else ""
        return Path(f"{self.output}{middle}{ending}")

    def files(self, n_scored: int | None = None) -> dict[str, Path]:
        """Return the files that a run writes, by what they hold.

        Parameters
        ----------
        n_scored : int or None
            Rows to score, above which there are no logos; None stands for many.

        Returns
        -------
        files : dict of str to Path
            "regions", "summary", and for each target and scheme "scores RESULT", "track RESULT" and
            "logo K RESULT", with RESULT as `result` has it.
        """
        n_logos = self.logos if n_scored is None else min(self.logos, n_scored)
        found = {"regions": self.file(".regions.tsv"), "summary": self.file(".json")}
        for target, scheme in product(self.targets, self.schemes):
            result = self.result(target, scheme)
            found[f"scores {result}"] = self.file(".h5", target, scheme)
            if self.fasta is None and self.shard is None:  # windows overlap those of other shards
                found[f"track {result}"] = self.file(".bw", target, scheme)
            for k in range(1, n_logos + 1):
                found[f"logo {k} {result}"] = self.file(f".logo{k}.png", target, scheme)
        return found


# On the scores; what lies in files has a digest instead.
_WITHOUT_EFFECT = {
    "batch_size", "command_line", "compile", "device", "fai", "fasta", "force", "genome", "logos",
    "on_incomplete", "output", "overlap", "regions", "resume", "threads",
}  # fmt: skip


def _in_names(target: str) -> str:
    """Write a target as a part of a file's name: `position:5` as `position_5`."""
    return re.sub(r"[^\w.,+-]", "_", target)
