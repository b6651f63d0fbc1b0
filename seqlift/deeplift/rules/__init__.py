"""The rules, one file a kind; importing this package fills the registry."""

from seqlift.deeplift.rules import (
    convolution,
    inert,
    linear,
    normalise,
    pooling,
    product,
    profile,
    recurrent,
    rescale,
)

__all__ = [
    "convolution",
    "inert",
    "linear",
    "normalise",
    "pooling",
    "product",
    "profile",
    "recurrent",
    "rescale",
]
