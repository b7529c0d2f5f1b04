"""How the cores are shared between inference streams and decoding threads."""

from typing import NamedTuple

from hambatch.cores import available_cores


class Sharing(NamedTuple):
    """Single-threaded inference streams, and threads that decode."""

    streams: int
    decode_threads: int


def share_cores(threads: int = 0, streams: int = 0, decode_threads: int = 0) -> Sharing:
    """Choose what 0 leaves open.

    Parameters
    ----------
    threads
        Cores to use; 0: all that this process may use.
    streams, decode_threads
        0: one a core. Both work ahead by a bounded number of groups, so whichever
        is the bottleneck gets the cores, and the other sleeps: small pictures leave
        nearly all of them to inference, large ones to decoding.
    """
    cores = threads or available_cores()
    return Sharing(streams or cores, decode_threads or cores)
