"""seqlift: base by base, what a trained sequence model saw in DNA.

The library's names are `contributions` and `load_model`; everything that the command line does is
one of them. They are imported when first used, so that `seqlift --help` need not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seqlift.errors import SeqliftError, SeqliftWarning

if TYPE_CHECKING:
    from seqlift.deeplift.scores import Contributions
    from seqlift.library import contributions
    from seqlift.model.load import load_model

__version__ = "0.1.0"

__all__ = [
    "Contributions",
    "SeqliftError",
    "SeqliftWarning",
    "__version__",
    "contributions",
    "load_model",
]

_WHERE = {
    "Contributions": "seqlift.deeplift.scores",
    "contributions": "seqlift.library",
    "load_model": "seqlift.model.load",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _WHERE:
        raise AttributeError(f"module 'seqlift' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
