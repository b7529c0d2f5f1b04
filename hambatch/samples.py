"""A folder of synthetic dermatoscopic JPEGs: something to try hambatch with."""

import shlex
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from hambatch.atomic import replacing
from hambatch.config import SampleOptions
from hambatch.errors import InputError
from hambatch.synthesis import synthesize

__all__ = ["synthesize", "write_samples"]

SIZES = ((600, 450), (450, 600), (1024, 768), (640, 480), (224, 224), (301, 467), (767, 1022))
SHARES = (0.7, 0.06, 0.06, 0.06, 0.04, 0.04, 0.04)


def write_samples(folder: Path, options: SampleOptions) -> list[Path]:
    """Write ``sample_00000.jpg`` and so on; the folder then holds these and no other files.

    Image ``i`` depends on the seed and on ``i`` alone, so a larger ``count``
    only adds to a smaller one.

    Raises
    ------
    InputError
        If the folder cannot be created, or holds files that this call would
        not itself replace. Names that begin with a dot do not count.
    """
    paths = [folder / f"sample_{index:05d}.jpg" for index in range(options.count)]
    _claim(folder, {path.name for path in paths})
    for index, path in enumerate(tqdm(paths, unit=" images", disable=None)):
        rng = np.random.default_rng([options.seed, index])
        width, height = SIZES[rng.choice(len(SIZES), p=SHARES)]
        picture = Image.fromarray(synthesize(rng, width, height))
        with replacing(path) as temporary:
            picture.save(temporary, format="JPEG", quality=int(rng.integers(75, 96)))
    return paths


def _claim(folder: Path, names: set[str]) -> None:
    """Create the folder, or make sure that only ``names`` lie in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    except OSError as error:
        raise InputError(
            f"cannot use {folder} as a folder: {error.strerror}; "
            "wanted a folder that exists or can be created.\n"
            "Next: hambatch samples ./samples"
        ) from error
    others = sorted(found - names)
    if others:
        beside = folder.with_name(f"{folder.name or 'hambatch'}-samples")
        raise InputError(
            f"{folder} holds {len(others)} other files, the first {others[0]!r}; "
            f"wanted an empty folder, or one with the same {len(names)} samples.\n"
            f"Next: hambatch samples {shlex.quote(str(beside))} --count {len(names)}"
        )
