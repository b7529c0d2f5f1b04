"""What the rows of damaged archives must say, and what they must not."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hambatch.system.text import decode_name
from tests.faults.archive_damage import Archive

NO_CHECKSUM = ("tar", "tar in tar", "zip in tar")

WRONG = ("lost", "misattributed", "silent", "good_lost", "strangers", "unexplained")


@dataclass(frozen=True)
class Said:
    """What one row says."""

    ok: bool
    sha256: str
    reason: str = ""


@dataclass
class Verdict:
    """What is wrong, one entry a row or an archive; and what was seen with nothing wrong.

    Attributes
    ----------
    lost
        Undamaged members without a scored row.
    misattributed
        Scored rows about other bytes than those of the member of this name, or about one of two
        possible readings.
    silent
        Archives with a member that is not scored, and no failed row that would say so.
    good_lost
        The same as ``lost``, in archives that nothing is wrong with.
    strangers
        Rows of no archive.
    unexplained
        Failed rows without a reason, or with one that is no reason of an archive.
    unproved
        Scored rows about damaged bytes: a tar has no checksum that would say so.
    by_kind
        Counts by (kind, what).
    """

    lost: list[dict[str, object]] = field(default_factory=list)
    misattributed: list[dict[str, object]] = field(default_factory=list)
    silent: list[dict[str, object]] = field(default_factory=list)
    good_lost: list[dict[str, object]] = field(default_factory=list)
    strangers: list[dict[str, object]] = field(default_factory=list)
    unexplained: list[dict[str, object]] = field(default_factory=list)
    unproved: list[dict[str, object]] = field(default_factory=list)
    by_kind: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> dict[str, int]:
        """How many of each that has to be 0."""
        return {what: len(getattr(self, what)) for what in WRONG}


def judge(archives: Iterable[Archive], rows: Mapping[str, Said]) -> Verdict:
    """Compare the rows of a run, by image, with what the archives may say."""
    verdict = Verdict()
    by_archive: dict[str, dict[str, Said]] = {}
    for image, said in rows.items():
        name, _, inner = decode_name(image).partition("!/")
        by_archive.setdefault(name, {})[inner] = said
    for archive in archives:
        _judge_one(verdict, archive, by_archive.pop(archive.name, {}))
    verdict.strangers += [{"image": name} for name in by_archive]
    return verdict


def _judge_one(verdict: Verdict, archive: Archive, rows: dict[str, Said]) -> None:
    origin = {"k": archive.k, "form": archive.form, "kind": archive.kind}
    scored = {said.sha256 for said in rows.values() if said.ok}
    failed = [said.reason for said in rows.values() if not said.ok]
    told = {"failed": sorted(set(failed))[:3]}
    for name in sorted(archive.wanted):
        if not (name in rows and rows[name].ok):
            into = verdict.good_lost if archive.kind == "good" else verdict.lost
            reason = rows[name].reason if name in rows else "no row"
            into.append({**origin, "member": name, "reason": reason, **told})
    for name, said in rows.items():
        if said.ok:
            _judge_scored(verdict, archive, name, said)
        else:
            verdict.reasons[said.reason] += 1
            if not said.reason:
                verdict.unexplained.append({**origin, "member": name})
    unproved = sum(
        said.ok and said.sha256 in archive.unproved.get(name, ()) for name, said in rows.items()
    )
    # A tar that is not compressed has no checksum of its members.
    unknowable = unproved if archive.form in NO_CHECKSUM else 0
    if len(archive.kept - scored) > unknowable and not failed:
        verdict.silent.append({**origin, "missing": len(archive.kept - scored)})
    counts = verdict.by_kind
    counts[archive.kind, "archives"] += 1
    counts[archive.kind, "ok"] += len(rows) - len(failed)
    counts[archive.kind, "failed"] += len(failed)


def _judge_scored(verdict: Verdict, archive: Archive, name: str, said: Said) -> None:
    row = {"k": archive.k, "form": archive.form, "kind": archive.kind, "member": name}
    proved = archive.allowed.get(name, frozenset())
    if archive.kind.startswith("bytes") and name not in archive.allowed and "#" in name:
        # A block that stands there twice may hold a member.
        name = name.rpartition("#")[0]
        proved = archive.allowed.get(name, frozenset())
    if name in archive.never or said.sha256 not in proved:
        is_unproved = said.sha256 in archive.unproved.get(name, frozenset())
        (verdict.unproved if is_unproved else verdict.misattributed).append(row)
