"""Every error that a user can cause.

::

    SeqliftError                     the command line prints it as one line and exits 1
    ├─ UsageError                    options that contradict each other; exit 2
    ├─ InputError                    a file or an argument is wrong
    │   ├─ RegionError               BED lines and regions
    │   ├─ GenomeError               FASTA, its index, contig names
    │   └─ SequenceError             arrays that should be one-hot; references
    ├─ ModelError
    │   ├─ ModelLoadError            the file cannot be read as a model
    │   ├─ CaptureError              torch.export could not follow the model
    │   ├─ UnsupportedOperatorError  operators without a rule, all of them at once
    │   ├─ ShapeError                the model and the input do not fit each other
    │   └─ TargetError               the target does not name one number a sequence
    ├─ MemoryShortError              one pair is too large for the memory there is
    ├─ IncompleteError               completeness failed and `--on-incomplete fail` was asked for
    └─ OutputError                   a result cannot be written

    SeqliftWarning                   worth a line on stderr; never fatal
    ├─ CompileWarning                the model runs without compiled code
    ├─ CompletenessWarning           contributions that do not sum to delta
    ├─ ModelWarning                  a model that is not read quite as it is written
    ├─ MemoryWarning                 memory did not suffice for a batch; smaller ones follow
    ├─ ReferenceWarning              a sequence that has no other shuffle
    ├─ ResumeWarning                 what an unfinished run leaves
    ├─ SpeedWarning                  what was asked for, for speed's sake, is slower here
    └─ InputDataWarning              odd but readable input (spaces for tabs)

A message says what was found, what was expected and what to do, in one line, with ``file:line``
where there is one.
"""

__all__ = [
    "CaptureError",
    "CompileWarning",
    "CompletenessWarning",
    "GenomeError",
    "IncompleteError",
    "InputDataWarning",
    "InputError",
    "MemoryShortError",
    "MemoryWarning",
    "ModelError",
    "ModelLoadError",
    "ModelWarning",
    "OutputError",
    "ReferenceWarning",
    "RegionError",
    "ResumeWarning",
    "SeqliftError",
    "SeqliftWarning",
    "SequenceError",
    "ShapeError",
    "SpeedWarning",
    "TargetError",
    "UnsupportedOperatorError",
    "UsageError",
]


class SeqliftError(Exception):
    """Anything that a user can cause and can mend."""

    exit_code = 1


class UsageError(SeqliftError):
    """Options or arguments that do not go together."""

    exit_code = 2


class InputError(SeqliftError):
    """A file or an argument is wrong."""


class RegionError(InputError):
    """A region, or a line of a BED file, is wrong."""


class GenomeError(InputError):
    """A FASTA file, its index or a contig name is wrong."""


class SequenceError(InputError):
    """An array is not the one-hot DNA, or the reference, that was expected."""


class ModelError(SeqliftError):
    """The model cannot be used as it is."""


class ModelLoadError(ModelError):
    """A file cannot be read as a model."""


class CaptureError(ModelError):
    """`torch.export` could not follow the model; the message has torch's words and your line."""


class UnsupportedOperatorError(ModelError):
    """The model uses operators that have no rule; the message names all of them."""


class ShapeError(ModelError):
    """The model and the sequences do not fit each other."""


class TargetError(ModelError):
    """The target does not name one number a sequence."""


class MemoryShortError(SeqliftError):
    """Memory does not suffice for one sequence and one reference."""


class IncompleteError(SeqliftError):
    """Contributions do not sum to delta, and the caller asked for that to be an error."""


class OutputError(SeqliftError):
    """A result cannot be written."""


class SeqliftWarning(UserWarning):
    """Worth a line on stderr; never fatal by itself."""


class CompileWarning(SeqliftWarning):
    """The model runs without compiled code, slower; results are the same."""


class CompletenessWarning(SeqliftWarning):
    """Contributions of some region do not sum to its delta from reference."""


class MemoryWarning(SeqliftWarning):
    """Memory did not suffice for a batch; smaller ones follow, with the same results."""


class ModelWarning(SeqliftWarning):
    """A model is not read quite as it is written, or looks wrong."""


class ReferenceWarning(SeqliftWarning):
    """A sequence has no other shuffle, so nothing can be learned about it."""


class ResumeWarning(SeqliftWarning):
    """What an unfinished run leaves."""


class SpeedWarning(SeqliftWarning):
    """What was asked for, for the sake of speed, is slower on this machine."""


class InputDataWarning(SeqliftWarning):
    """Input that is odd but readable."""
