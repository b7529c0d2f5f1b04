"""Names that say: this is no image, nobody will miss its row.

Whatever is not on this list gets a row, so that a picture with a strange name
is never left out in silence.
"""

from pathlib import PurePosixPath

_NO_IMAGE = frozenset(
    # text, tables, documents, configuration
    ".txt .md .rst .csv .tsv .tab .json .jsonl .ndjson .xml .yaml .yml .html .htm .css .js .log"
    " .ini .cfg .conf .toml .pdf .doc .docx .odt .rtf .xls .xlsx .ods .ppt .pptx .url .lnk"
    # programs, data, weights
    " .py .pyc .ipynb .r .sh .bat .exe .dll .so .db .sqlite .sqlite3 .parquet .npy .npz .h5"
    " .hdf5 .pkl .pt .pth .onnx .mat"
    # archives, sums, sound, film
    " .zip .tar .gz .tgz .bz2 .xz .zst .7z .rar .md5 .sha1 .sha256 .wav .mp3 .mp4 .avi .mov".split()
)

_NAMES = frozenset("readme licence license copying makefile thumbs.db desktop.ini".split())


def named_unlike_an_image(name: str) -> bool:
    """Tell whether a path's last part is that of a file that holds no picture.

    Hidden files count: file managers leave them beside every picture.
    """
    path = PurePosixPath(name)
    lowered = path.name.lower()
    return lowered.startswith(".") or lowered in _NAMES or path.suffix.lower() in _NO_IMAGE
