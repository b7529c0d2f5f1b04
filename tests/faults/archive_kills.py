"""A folder of archives of every kind that is scored, killed, and resumed."""

from pathlib import Path

from tests.faults.archive_absences import held
from tests.faults.archive_writing import marked, pictures
from tests.faults.campaign import Campaign, kill_and_resume
from tests.faults.command import Command

KINDS = {
    "a.zip": "stored.zip",
    "b.zip": "deflated.zip",
    "c.tar": "tar",
    "d.tar.gz": "tar.gz",
    "e.tar.zst": "tar.zst",
}

DAMAGED_EVERY = 9


def killed_in_archives(engine: Path, place: Path, members: int, kills: int, seed: int) -> Campaign:
    """Score ``members`` pictures in archives of every kind, some of them damaged, and kill.

    One of the archives is cut off.
    """
    folder = place / "archives"
    folder.mkdir(parents=True)
    bases = pictures(32, seed)
    for number, (name, form) in enumerate(KINDS.items()):
        named = {}
        for k in range(number, members, len(KINDS)):
            content = marked(bases[k % len(bases)], f"killed {k}")
            named[f"{k % 7}/{k}.jpg"] = content[: 500 if k % DAMAGED_EVERY == 4 else None]
        (folder / name).write_bytes(held(form, named))
    cut = (folder / "c.tar").read_bytes()
    (folder / "f.tar").write_bytes(cut[: len(cut) // 2])
    options = ("--archives", "--batch-size", "4")
    command = Command(folder, place / "p.csv", engine, place / "scratch", options)
    return kill_and_resume(command, seed, kills)
