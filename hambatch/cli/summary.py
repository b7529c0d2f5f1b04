"""What a run tells its user when it is done."""

from pathlib import Path

from hambatch.names import encode_name
from hambatch.pipelines.platform import has_dali
from hambatch.run_record import Tally
from hambatch.scoring import Outcome

SHOWN = 5


def describe(outcome: Outcome, out: Path) -> str:
    """Sum up a run in a few lines: counts, speed, what was left out and why."""
    tally, survey = outcome.tally, outcome.listing.survey
    now = tally.images - outcome.kept
    earlier = f"; {outcome.kept} were done before" if outcome.kept else ""
    lines = [
        f"{encode_name(str(out))}: {tally.images} images, {tally.scored} scored, "
        f"{tally.failed} failed in {outcome.seconds:.1f} s "
        f"({_speed(now, outcome.seconds)}; {_ran_on(tally)}{earlier})"
    ]
    lines += [f"  failed: {n} x {reason}" for reason, n in tally.reasons.most_common(SHOWN)]
    if survey.others.count:
        lines.append(f"  not images, no row: {survey.others.count} files")
    lines += [
        f"  cannot read folder {name}: {why}" for name, why in sorted(survey.unreadable.items())
    ]
    if survey.links_left.count:
        lines.append(
            f"  {survey.links_left.count} linked folders not entered (--follow-symlinks enters)"
        )
    if outcome.changes.added or outcome.changes.gone:
        lines.append(
            f"  since the run began {outcome.changes.added} files came, which have no row, "
            f"and {outcome.changes.gone} went"
        )
    if not has_dali():
        lines.append("  DALI is not installed here: Pillow decoded, more slowly")
    return "\n".join(lines)


def _speed(images: int, seconds: float) -> str:
    return f"{images / seconds:.1f} images/s" if images else "nothing was left to score"


def _ran_on(tally: Tally) -> str:
    return ", ".join([*sorted(tally.decoders), *sorted(tally.backends)]) or "nothing was scored"
