"""How the cores are shared."""

from hambatch.system.cpu import Sharing, available_cores, share_cores


def test_both_stages_may_use_every_core_unless_told_otherwise() -> None:
    assert share_cores() == Sharing(available_cores(), available_cores())
    assert share_cores(threads=5) == Sharing(5, 5)
    assert share_cores(threads=5, streams=4) == Sharing(4, 5)
    assert share_cores(threads=5, decode_threads=1) == Sharing(5, 1)
