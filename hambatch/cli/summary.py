"""What `hambatch score` shows on stderr: the run plan, progress, the outcome."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hambatch.cli.messages import INFO, WARNING, say
from hambatch.cli.progress import Lines
from hambatch.engines.backend_names import BF16, in_bfloat16
from hambatch.engines.classes import REFER, RISKS, ROUTINE
from hambatch.errors import ExitCode
from hambatch.pipelines.decode import has_dali
from hambatch.scoring.plan import RunPlan
from hambatch.scoring.record import ChangedSince, Tally
from hambatch.scoring.run import Outcome
from hambatch.scoring.runner import Progressed
from hambatch.sinks.publish import record_path
from hambatch.sources.folder import Survey
from hambatch.sources.skipped import describe_skipped
from hambatch.system.cpu import available_cores, kernels_of, named_cores
from hambatch.system.output_names import STANDARD_OUTPUT
from hambatch.system.text import encode_name, plural

SHOWN = 5


def show_plan(plan: RunPlan) -> None:
    """Say on stderr what is about to compute, and why: device, graph, cores, kernels."""
    choice, place, job, problem = plan.choice, plan.placement, plan.job, plan.cache_problem
    why = f"{choice.why}, --force" if choice.forced else choice.why
    no_cache = f"\n  compiled graphs are not kept: {problem}" if problem else ""
    fields: dict[str, Any] = {
        **{"device": place.device, "device_why": place.why, "backend": place.backend},
        **{"precision": choice.used, "precision_why": choice.why, "forced": choice.forced},
        **{"tta": plan.used.tta, "batch_size": job.batch_size, "streams": job.streams},
        **{"decode_threads": job.decode_threads, "cores": plan.cores},
        **{"instruction_set": plan.instruction_set, "cache_problem": problem},
    }
    say(
        "plan",
        f"{place.named} ({place.why}), "
        f"{place.backend}-{choice.used} ({why}), {_views(plan.used.tta)}"
        f"{plural(job.streams, 'stream')}, "
        f"{plural(job.decode_threads, 'decode thread')} on {_cores(plan.cores)} "
        f"({_kernels(plan.instruction_set, choice.used)}){no_cache}",
        **fields,
    )


def _views(count: int) -> str:
    return f"mean over {count} views of an image, " if count > 1 else ""


def _cores(count: int) -> str:
    return named_cores() if count == available_cores() else plural(count, "core")


def _kernels(instruction_set: str, precision: str) -> str:
    """Name the last extension that counts, and what multiplies bfloat16 if the run does."""
    names = instruction_set.split()
    last = [name for name in names if not name.endswith(("bf16", "fp16"))][-1]
    return " ".join([last, *kernels_of(BF16).split()[1:]]) if in_bfloat16(precision) else last


def show_rows(answers: Iterable[Progressed], total: int, done: int) -> Iterator[Progressed]:
    """Pass answers through, showing how many of ``total`` came, ``done`` of them earlier."""
    from tqdm import tqdm

    failed, lines = 0, Lines("images", total, done)
    with tqdm(
        total=total,
        initial=done,
        unit=" images",
        disable=not sys.stderr.isatty(),
        mininterval=0.2,
    ) as bar:
        for answer in answers:
            yield answer
            lines.step(answer.answered, answer.failed)
            if answer.failed:
                failed += answer.failed
                bar.set_postfix(failed=failed, refresh=False)
            bar.update(answer.answered)
    lines.end()


def show_outcome(outcome: Outcome, out: Path) -> ExitCode:
    """Sum up a run on stderr, and give the exit code."""
    code = ExitCode.OK if outcome.complete else ExitCode.SOME_IMAGES_FAILED
    level = WARNING if code or _damaged(outcome) else INFO
    fields = {**_fields(outcome, out), "exit_code": int(code)}
    say("summary", describe(outcome, out), level, describe_briefly(outcome, out), **fields)
    return code


def _fields(outcome: Outcome, out: Path) -> dict[str, Any]:
    """Give what the JSON of a summary holds, by the names of the run record where it has them."""
    tally, survey = outcome.tally, outcome.listing.survey
    now = tally.images - outcome.kept
    return {
        **{
            "out": str(out if _is_stdout(out) else outcome.out),
            "images": tally.images,
            "scored": tally.scored,
        },
        **{"failed": tally.failed, "failures_by_reason": dict(tally.reasons.most_common())},
        **{"flagged": tally.flagged, "risk": {risk: tally.risks[risk] for risk in RISKS}},
        **{"kept": outcome.kept, "without_row": outcome.without_row},
        **{"seconds": round(outcome.seconds, 3)},
        **{"images_per_s": round(now / max(outcome.seconds, 1e-9), 2)},
        **{"unreadable_folders": survey.unreadable, "seal": outcome.seal},
        **{"changed_since_begun": asdict(outcome.changes)},
        **{"update": outcome.updated.changes if outcome.updated else None},
    }


def _is_stdout(out: Path) -> bool:
    return str(out) == STANDARD_OUTPUT


def _named(out: Path) -> str:
    return "standard output" if _is_stdout(out) else encode_name(str(out))


def describe_briefly(outcome: Outcome, out: Path) -> str:
    """Say in one line what a person has to know of a run that ended with exit code 3."""
    tally, survey, changes = outcome.tally, outcome.listing.survey, outcome.changes
    counted = (
        (len(survey.unreadable) + len(changes.unreadable), "folder", "cannot be read"),
        (changes.added or 0, "file", "came since the run began"),
        (changes.changed or 0, "file", "changed since scored"),
        (_damaged(outcome), "file", "with other bytes, though it looks as before"),
    )
    found = [f"{plural(count, thing)} {what}" for count, thing, what in counted if count]
    found += ["SOURCE could not be listed again at the end"] if changes.problem else []
    headline = f"{plural(tally.images, 'image')}, {tally.scored} scored, {tally.failed} failed"
    return f"{_named(out)}: {'; '.join([headline, *found])}"


def _damaged(outcome: Outcome) -> int:
    return outcome.updated.other_bytes.count if outcome.updated else 0


def describe(outcome: Outcome, out: Path) -> str:
    """Sum up a run in a few lines: counts, speed, what was left out and why."""
    tally, survey = outcome.tally, outcome.listing.survey
    now, to_stdout = tally.images - outcome.kept, _is_stdout(out)
    earlier = f"; {outcome.kept} were done before" if outcome.kept else ""
    lines = [
        f"{_named(out)}: {plural(tally.images, 'image')}, {tally.scored} scored, "
        f"{tally.failed} failed in {outcome.seconds:.1f} s "
        f"({_speed(now, outcome.seconds)}; {_ran_on(tally)}{earlier})"
    ]
    if outcome.twice.images:
        pictures, requests = outcome.twice.images, plural(outcome.twice.requests, "request")
        lines.append(
            f"  computed twice, with the same scores: {plural(pictures, 'image')} in {requests}, "
            "sentinels included"
        )
    lines += [f"  failed: {n} x {reason}" for reason, n in tally.reasons.most_common(SHOWN)]
    lines += _risks(tally)
    if outcome.without_row:
        files = plural(outcome.without_row, "file")
        lines.append(f"  no row in the submission: {files} whose image id another file has")
    if outcome.without_report:
        images = plural(outcome.without_report, "scored image")
        lines.append(f"  no report: {images}; reports.csv in the zip says why")
    lines += _without_a_row(survey)
    lines += _of_update(outcome)
    again = to_stdout or outcome.updated is not None
    lines += _since_begun(outcome.changes, again=again)
    if outcome.seal:
        lines.append(f"  {outcome.seal}")
    if to_stdout and record_path(outcome.out).exists():
        lines.append(f"  record: {encode_name(str(record_path(outcome.out)))}")
    elif outcome.out != out and not to_stdout:
        link, target = encode_name(str(out)), encode_name(str(outcome.out))
        lines.append(f"  {link} is a link: written to {target}")
    if not has_dali():
        lines.append("  DALI is not installed here: Pillow decoded, more slowly")
    return "\n".join(lines)


def _risks(tally: Tally) -> list[str]:
    """Say which images are flagged, and what rows ask of a person where that is certified."""
    lines = []
    if tally.flagged:
        found = ", ".join(f"{n} {reason}" for reason, n in tally.flags.most_common())
        lines.append(f"  for review by a person: {plural(tally.flagged, 'scored image')} ({found})")
    if tally.risks[REFER] or tally.risks[ROUTINE]:
        counts = ", ".join(f"{tally.risks[risk]:,} {risk}" for risk in RISKS)
        lines.append(f"  risk: {counts}")
    return lines


def _without_a_row(survey: Survey) -> list[str]:
    """Say what the sources hold beside their images."""
    lines = []
    if survey.archives.count:
        found = f"{plural(survey.archives.count, 'archive')}{_first(survey.archives.names)}"
        lines.append(f"  not looked into, no row: {found} (--archives scores what is in them)")
    if survey.others.count:
        lines.append(f"  not images, no row: {plural(survey.others.count, 'file')}")
    lines += [
        f"  cannot read folder {name}: {why}" for name, why in sorted(survey.unreadable.items())
    ]
    if survey.links_left.count:
        lines.append(
            f"  {survey.links_left.count} linked folders not entered (--follow-symlinks enters)"
        )
    lines += [f"  not scored: {line}" for line in describe_skipped(survey.skipped)]
    if any(found.folders for found in survey.skipped.values()):
        lines.append("    (to score such a folder, name it as SOURCE)")
    return lines


def _of_update(outcome: Outcome) -> list[str]:
    """Say what an update changed, and what it could not build on."""
    updated, name = outcome.updated, encode_name(outcome.out.name)
    if updated is None:
        return []
    said = [
        f"{count:,} {what.replace('_', ' ')}" for what, count in updated.changes.items() if count
    ]
    said = said or ["nothing new"]
    lines = [f"  update: {', '.join(said)}, {updated.kept:,} rows kept ({name}.changes.csv)"]
    if updated.rescored_because:
        lines.append(f"  no row was kept: {updated.rescored_because}")
    if updated.index_not_used:
        lines.append(
            f"  {name}.index was not used ({updated.index_not_used}): every file was read to "
            "compare its bytes"
        )
    if updated.rehashed:
        lines.append(f"  read again (--rehash): {plural(updated.rehashed, 'file')}")
    if updated.other_bytes.count:
        files = plural(updated.other_bytes.count, "file")
        lines.append(
            f"  other bytes, though size, times and inode are the same: {files}"
            f"{_first(updated.other_bytes.names)}: check this disk"
        )
    return lines


def _since_begun(changes: ChangedSince, *, again: bool) -> list[str]:
    """Say what became of SOURCE since the run began, and how to score what has no row."""
    if changes.problem:
        return [
            "  SOURCE could not be listed again at the end, so files without a row are not known: "
            f"{changes.problem}"
        ]
    lines = [
        f"  can no longer read folder {name}: {why}"
        for name, why in sorted(changes.unreadable.items())
    ]
    counted = (
        ("came since the run began, no row", changes.added, changes.added_names),
        ("changed since scored, row of the old bytes", changes.changed, changes.changed_names),
        ("gone since the run began", changes.gone, list[str]()),
    )
    lines += [f"  {what}: {plural(n, 'file')}{_first(names)}" for what, n, names in counted if n]
    if changes.added or changes.changed:
        lines.append(
            "  Next: the same command again scores them"
            if again
            else "  Next: add --update to score them, --overwrite to score all files again, or "
            "name another --out"
        )
    return lines


def _first(names: list[str]) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return f" ({', '.join(names[:SHOWN])}{more})" if names else ""


def _speed(images: int, seconds: float) -> str:
    return f"{images / seconds:.1f} images/s" if images else "nothing was left to score"


def _ran_on(tally: Tally) -> str:
    return ", ".join([*sorted(tally.decoders), *sorted(tally.backends)]) or "nothing was scored"
