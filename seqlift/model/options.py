"""The options that say how a model is loaded and takes its input, as the command line has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqlift.errors import UsageError
from seqlift.model.form import InputForm, parse_inputs
from seqlift.model.load import LoadedModel, load_model

__all__ = ["ModelOptions", "parse_pairs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How models are loaded and take their input; see `seqlift.model.load.load_model`.

    Parameters
    ----------
    allow_pickle : bool
    model_args : tuple of str
        ``NAME=VALUE``, for a factory.
    custom_layers : tuple of str
        ``NAME=package.module.Class``, for Keras.
    layout : str or None
    bases : str
    inputs : tuple of str
        See `seqlift.model.form.parse_inputs`.
    length : int or None
        Positions, where the model does not fix them.
    """

    allow_pickle: bool = False
    model_args: tuple[str, ...] = ()
    custom_layers: tuple[str, ...] = ()
    layout: str | None = None
    bases: str = "ACGT"
    inputs: tuple[str, ...] = ()
    length: int | None = None

    def load_one(self, source: str, weights: str | None) -> LoadedModel:
        """Load a model by these options.

        Raises
        ------
        ModelError, UsageError
        """
        constants, sequence = parse_inputs(self.inputs)
        return load_model(
            source,
            weights=weights,
            allow_pickle=self.allow_pickle,
            model_args=parse_pairs(self.model_args, "--model-arg NAME=VALUE"),
            custom_layers=parse_pairs(self.custom_layers, "--custom-layer NAME=package.Class"),
            form=InputForm(
                layout=self.layout, bases=self.bases, constants=constants, sequence=sequence
            ),
        )


def parse_pairs(words: Sequence[str], expected: str) -> dict[str, str]:
    """Read words such as ``NAME=VALUE``.

    Raises
    ------
    UsageError
        If one has no name, no value, or a name that was there before.
    """
    found: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if not name or not value or name in found:
            shown = name if name.isprintable() else repr(name)
            what = f"{shown} twice" if name in found else repr(word)
            raise UsageError(f"found {what}; expected {expected}")
        found[name] = value
    return found
