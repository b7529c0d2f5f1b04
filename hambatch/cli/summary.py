"""What a run tells its user when it is done."""

from pathlib import Path

from hambatch.names import encode_name
from hambatch.scoring import Outcome

SHOWN = 5


def describe(outcome: Outcome, out: Path) -> str:
    """Sum up a run in a few lines: counts, speed, what was left out and why."""
    tally, listing = outcome.tally, outcome.listing
    images = tally.scored + tally.failed
    lines = [
        f"{encode_name(str(out))}: {images} images, {tally.scored} scored, {tally.failed} failed "
        f"in {outcome.seconds:.1f} s ({images / outcome.seconds:.1f} images/s; "
        f"{outcome.decoder}, {outcome.backend})"
    ]
    lines += [f"  failed: {n} x {reason}" for reason, n in tally.reasons.most_common(SHOWN)]
    if listing.others:
        lines.append(f"  not images, no row: {len(listing.others)} files")
    lines += [
        f"  cannot read folder {encode_name(n)}: {why}"
        for n, why in sorted(listing.unreadable.items())
    ]
    if listing.links_left:
        lines.append(
            f"  {len(listing.links_left)} linked folders not entered (--follow-symlinks enters)"
        )
    if outcome.decoder == "pillow":
        lines.append("  DALI is not installed here: Pillow decoded, more slowly")
    return "\n".join(lines)
