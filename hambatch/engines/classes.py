"""The seven classes of HAM10000, in the one order used everywhere.

Source: Tschandl, Rosendahl, Kittler, Sci. Data 5:180161 (2018),
doi:10.1038/sdata.2018.161.
"""

from typing import Literal, get_args

CLASSES: tuple[str, ...] = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")

MALIGNANT: frozenset[str] = frozenset({"akiec", "bcc", "mel"})
"""Malignant or pre-malignant classes."""

NAMES: dict[str, str] = {
    "akiec": "actinic keratosis / intraepithelial carcinoma",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis-like lesion",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "melanocytic nevus",
    "vasc": "vascular lesion",
}

ISIC_COLUMNS: tuple[str, ...] = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
"""Column order of the ISIC 2018 Task 3 submission file, after ``image``."""

SPLITS: tuple[str, ...] = ("train", "val", "test")
"""The parts of a split table: fitted to, chosen by, and looked at last."""

HELD_APART: tuple[str, ...] = ("gate", "certify")
"""Further parts of some split tables, whose images no training or choice sees: to measure cheaper
precisions on, and to certify thresholds with."""

PARTS: tuple[str, ...] = (*SPLITS, *HELD_APART)

PROBABILITIES: tuple[str, ...] = tuple(f"p_{name}" for name in CLASSES)

QualityWord = Literal["blurred", "dark", "bright", "uniform", "colour", "border", "grain"]
QUALITY_WORDS: tuple[QualityWord, ...] = get_args(QualityWord)
"""What the column ``quality`` may say of an image, in the order in which it does."""

Risk = Literal["refer", "review", "routine"]
REFER, REVIEW, ROUTINE = RISKS = get_args(Risk)
"""What the column ``risk`` may say: the score is at a certified threshold or above; a person has to
look, as no probability is relied on; neither."""

SCORES: tuple[str, ...] = ("confidence", *PROBABILITIES, "p_malignant")
"""Columns of probabilities in a table of scores."""

NUMBERS: tuple[str, ...] = (*SCORES, "ood")
"""Columns of numbers in a table of scores; all others hold text."""

SCORE_COLUMNS: tuple[str, ...] = (
    "image",
    "status",
    "prediction",
    *SCORES,
    "decoder",
    "backend",
    "sha256",
    "reason",
)
"""The columns of a table whose images were not checked: by the rules of decoding before 4."""

COLUMNS: tuple[str, ...] = (*SCORE_COLUMNS, "ood", "quality", "risk", "risk_reason")
"""The columns of a table of scores, in their order."""
