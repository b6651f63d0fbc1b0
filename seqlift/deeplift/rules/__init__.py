"""The rules, one file a kind; importing this package fills the registry."""

from seqlift.deeplift.rules import inert, linear, normalise, pooling, product, rescale

__all__ = ["inert", "linear", "normalise", "pooling", "product", "rescale"]
