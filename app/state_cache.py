"""The states after texts seen before, so that typing on costs the new tokens only.

A state is a few kilobytes and depends on the exact tokens before it alone (the first of which tells the rating), so one
that was kept gives the same bits as one computed again. Least recently used first out, within a bound in bytes.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor

STRIDE = 16
"""Besides the end of each text, the state after every so many tokens is kept, so that going back finds one close by."""
NEAREST = 8
"""Tokens from the end back to which every place is looked at; a keystroke moves the end by one or two."""


class StateCache:
    """Maps exact prefixes of tokens to state rows `[S]`; may be used from any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._states: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._states)

    def longest(self, tokens: Sequence[int]) -> tuple[int, Tensor | None]:
        """Finds how many of the first `tokens` have a state kept, and that state; 0 and None where none has."""
        whole = tuple(tokens)
        with self._lock:
            for count in _places(len(whole)):
                prefix = whole[:count]
                if (state := self._states.get(prefix)) is not None:
                    self._states.move_to_end(prefix)
                    return count, state
        return 0, None

    def keep(self, tokens: Sequence[int], state: Tensor) -> None:
        """Keeps a copy of the state `[S]` after `tokens`, forgetting the least recently used where room is needed."""
        prefix = tuple(tokens)
        size = _size(prefix, state)
        if size > self._max_bytes:
            return
        with self._lock:
            if prefix in self._states:
                self._states.move_to_end(prefix)
                return
            # A row of a batch would hold the whole batch in memory.
            self._states[prefix] = state.clone()
            self.bytes += size
            while self.bytes > self._max_bytes:
                old, old_state = self._states.popitem(last=False)
                self.bytes -= _size(old, old_state)


def _places(length: int) -> list[int]:
    """Where a state may be kept, the longest prefix first."""
    near = range(length, max(0, length - NEAREST), -1)
    far = range((length - NEAREST) // STRIDE * STRIDE, 0, -STRIDE)
    return [*near, *far]


def _size(prefix: tuple[int, ...], state: Tensor) -> int:
    return 8 * len(prefix) + state.numel() * state.element_size()
