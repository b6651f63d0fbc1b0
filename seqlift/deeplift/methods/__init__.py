"""The methods that DeepLIFT is compared with, one file an idea, and the table of all."""

from seqlift.deeplift.methods.options import MethodOptions
from seqlift.deeplift.methods.table import METHODS, Method

__all__ = ["METHODS", "Method", "MethodOptions"]
