"""Python's cyclic garbage collector, told what a run is like."""

import gc

_YOUNG, _MIDDLE, _OLD = 10_000, 20, 20
"""After how many new containers it looks for cycles, and after how many looks further back.

A run makes containers by the thousand and hardly a cycle; the usual 700 cost it a tenth.
"""


def prepare() -> None:
    """Let it look less often, and never at what is there now, which stays to the end."""
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
