"""Where a GPU's decoder splits a batch, rows may depend on their batch, and only there."""

from pathlib import Path
from typing import Any

import pytest

from hambatch.checks.verify.verify import verify
from hambatch.engines.loading import load_engine
from hambatch.errors import InputError
from hambatch.pipelines.options import DecoderOptions
from hambatch.scoring.journal.fingerprint import computing_device
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.run import score
from tests.backends.tensorrt.host_gpus import host_gpus
from tests.checks.verify.tampering import EVERY
from tests.conftest import jpeg_bytes

__all__ = ["host_gpus"]

pytestmark = pytest.mark.usefixtures("host_gpus")


def options(engine: Path, load: float, **chosen: Any) -> ScoreOptions:
    decoder = DecoderOptions(hw_decoder_load=load)
    placed = {"device": "0", "backend": "tensorrt", "precision": "fp32"}
    return ScoreOptions(**{"engine": str(engine), "decoder": decoder, **placed, **chosen})


@pytest.mark.parametrize(("load", "depends"), [(0.0, False), (0.5, True), (1.0, False)])
def test_batches_and_gpus_are_part_of_a_run_where_they_may_change_a_row(
    tiny_engine: Path, load: float, depends: bool
) -> None:
    engine = load_engine(tiny_engine)

    def device(**chosen: Any) -> dict[str, Any]:
        return computing_device(engine, plan_run(tiny_engine, options(tiny_engine, load, **chosen)))

    for other in ({"batch_size": 32}, {"device": "0,1"}):
        assert (device(**other) != device()) == depends
    assert device(device="1") == device()


def test_a_run_of_split_batches_is_verified_within_a_tolerance(
    tiny_engine: Path, tmp_path: Path
) -> None:
    images, out = tmp_path / "images", tmp_path / "rows.csv"
    images.mkdir()
    for k in range(4):
        (images / f"{k}.jpg").write_bytes(jpeg_bytes(k))
    (images / "text.jpg").write_bytes(b"no picture")
    half = options(tiny_engine, 0.5, batch_size=2)
    with pytest.raises(InputError, match="--fail-over"):
        score([images], out, "csv", options(tiny_engine, 0.5, batch_size=2, fail_over=1))
    with pytest.raises(InputError, match="device batch_size was 2, is 4"):
        score([images], out, "csv", options(tiny_engine, 0.5, batch_size=4))
    score([images], out, "csv", half)
    verdict = verify(out, [images], "auto", EVERY)
    assert verdict.differences == []
    assert "within 2e-02" in verdict.proven
