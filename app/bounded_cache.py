"""What is kept within a bound in bytes, the least recently used forgotten first."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Maps keys to values that take some bytes; may be used from any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = self.hits = self.misses = 0

    def first_of(self, keys: Iterable[Key]) -> Value | None:
        """The value of the first of these keys that has one, which is a hit; a miss where none has."""
        with self._lock:
            for key in keys:
                if (kept := self._kept.get(key)) is not None:
                    self._kept.move_to_end(key)
                    self.hits += 1
                    return kept[0]
            self.misses += 1
        return None

    def get(self, key: Key) -> Value | None:
        """The value of a key, which counts for nothing."""
        with self._lock:
            if (kept := self._kept.get(key)) is None:
                return None
            self._kept.move_to_end(key)
            return kept[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keeps a value of `size` bytes if it fits at all; a key that has one already keeps that."""
        if size > self._max_bytes:
            return
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return
            self._kept[key] = value, size
            self.bytes += size
            while self.bytes > self._max_bytes:
                _, (_, forgotten) = self._kept.popitem(last=False)
                self.bytes -= forgotten
