"""What `doctor` tries in a child process, which may crash: ``main`` is that process's work.

Its first argument names what to try. Every other module is imported where it is tried: a
package that is broken, or not installed, must not stop what does without it.
"""

import importlib
import io
import sys
from collections.abc import Callable

from hambatch.errors import HambatchError
from hambatch.system.files import outside_current_folder
from hambatch.system.probe import report

COLOUR = (120, 90, 60)

NEAR = 3
"""JPEG keeps a plain colour to a level or two."""


def main() -> None:
    """Try what the first argument names."""
    what, *arguments = sys.argv[1:]
    tries: dict[str, Callable[..., None]] = {
        "import": import_modules,
        "decode": decode,
        "load": load,
    }
    tries[what](*arguments)


def import_modules(*names: str) -> None:
    """Report the name of each module that can be imported; the first that cannot ends it."""
    for name in names:
        # Matplotlib reads its settings there first.
        with outside_current_folder():
            importlib.import_module(name)
        report(name)


def decode() -> None:
    """Decode a JPEG with DALI on the CPU; report the name of the decoder."""
    import numpy as np
    from PIL import Image

    from hambatch.engines.manifest import InputSpec, Preprocessing
    from hambatch.pipelines.dali_lane import DaliLane
    from hambatch.sources.reading import Fetched
    from hambatch.types import on_host

    stream = io.BytesIO()
    Image.new("RGB", (96, 72), COLOUR).save(stream, format="JPEG")
    decoder = DaliLane(1, 1, InputSpec(), Preprocessing())
    decoder.feed([Fetched(0, stream.getvalue(), "")])
    _, images = decoder.collect()
    far = int(np.abs(on_host(images).astype(int) - COLOUR).max())
    if far > NEAR:
        raise RuntimeError(f"a plain image came back {far} levels off, wanted at most {NEAR}")
    report(decoder.name)


def load(name: str) -> None:
    """Load an engine as a plain `score` by CPU would; report what runs, or why none can."""
    from hambatch.backends import load_backend
    from hambatch.engines.loading import find_engine, load_engine
    from hambatch.engines.precision import NOT_MEASURED, choose_precision
    from hambatch.scoring.options import ScoreOptions
    from hambatch.scoring.plan import ON_CPU

    try:
        engine = load_engine(find_engine(name))
        choice = choose_precision(engine.manifest, ON_CPU, ScoreOptions.precision)
        load_backend(ON_CPU, engine, choice.used, streams=1).close()
    except HambatchError as error:
        why, _, what_next = str(error).partition("\nNext: ")
        report({"why": why, "next": what_next})
        return
    report(
        {
            "name": engine.manifest.name,
            "version": engine.manifest.version,
            "runs": f"{ON_CPU}-{choice.used}",
            "chosen": choice.why,
            "tune": choice.gate == NOT_MEASURED,
        }
    )
