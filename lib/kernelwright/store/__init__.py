"""Where kernels lie: kernelspecs, generations, locks and the atomic writes between them."""

from .atomic import write_json, write_text
from .lock import lock
from .owned import Owned
from .store import Draft, Store

__all__ = ["Draft", "Owned", "Store", "lock", "write_json", "write_text"]
