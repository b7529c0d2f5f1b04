"""The public Python API: score, Scorer, read_table."""

from hambatch.api.command import Outcome, score
from hambatch.api.row import Row
from hambatch.api.scorer import Scorer
from hambatch.api.tables import read_table

__all__ = ["Outcome", "Row", "Scorer", "read_table", "score"]
