"""Memory that is kept for the next batch instead of being given back to the kernel."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""
KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Has glibc keep large pieces, which it would return to the kernel and have brought in again page by page.

    Logits are such pieces: a step of 64 rows then takes half as long, and training on a full softmax gains, too.
    """
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
