"""A seal: a table and its record can be forged only by who has the key."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.scoring.journal.begun import Begun, content_of
from hambatch.system.schema import read_json
from tests.cli.test_forged_tables import as_failed, as_melanoma, edit_record, forge
from tests.conftest import jpeg_bytes

OLD = "of last night\n"


def pem(label: str, body: str) -> str:
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


# By `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`.
NIGHT = pem("PRIVATE KEY", "MC4CAQAwBQYDK2VwBCIEIPD560F1u1E4SeeTDW0YGWgE33oRsI27moeT0GNayp/N")
NIGHT_PUB = pem("PUBLIC KEY", "MCowBQYDK2VwAyEATKxMgWAaHIHz4r6fkZQWr8bIlrAy8kZe2z79OjqQJlg=")
OTHER = pem("PRIVATE KEY", "MC4CAQAwBQYDK2VwBCIEIKwIn6X3nYgwcAzyOf+QhsqH9dBaflAs1gMIpUEctPkm")
OTHER_PUB = pem("PUBLIC KEY", "MCowBQYDK2VwAyEAmdtuVk+Lf8MRPRlSftD/Aqa019DEqh8AdLSXTbjEscQ=")

# By `openssl pkey -pubin -in night.pub -outform DER | sha256sum`.
FINGERPRINT = "fa25e6a0e943ed145ee4a6349942824655f76727ae80851b0cc1702a16f171a9"

UNFIT = {
    "passphrase": pem("ENCRYPTED PRIVATE KEY", "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAc"),
    "an SSH key": pem("OPENSSH PRIVATE KEY", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAA"),
    "a public key": NIGHT_PUB,
    "another algorithm (Ed448)": pem(
        "PRIVATE KEY",
        "MEcCAQAwBQYDK2VxBDsEOc1kWXOMTGiWmEUEhQ2BHP16Ql5QxNIPcbZmYZtudCGO\n"
        "k7OHvOI3Wjpx+NZsqkWJ6kMIPsSmwyMR9w==",
    ),
    "cannot be read as a key": pem("PRIVATE KEY", "AAAA"),
    "night.key cannot be read as a key": pem(  # of a curve that cryptography does not know
        "PRIVATE KEY",
        "MIGHAgEAMBMGByqGSM49AgEGCCqBHM9VAYItBG0wawIBAQQg15LoyBhLVMT/Y8j0\n"
        "BTXIBuepBD1HFjL3omSK33wX0hihRANCAASgFWQcOoypeFCf2XLX0BfBpHmRcMpX\n"
        "YEFxkV4wru8FTgaz1pmEhFQ6mHmucKsx6wAzduq9dGNG7Umt915EK7Uq",
    ),
    "no key in PEM": "",
    "more than 65536 bytes": "\n" * 70_000,
}


def invoke(*arguments: object) -> tuple[int, str]:
    """Give the exit code, and what a user reads, whichever part of the command line refuses."""
    found = CliRunner().invoke(hambatch, [str(argument) for argument in arguments])
    return found.exit_code, f"{found.output}{found.exception}"


def write_keys(place: Path) -> None:
    for name, text in (("night", NIGHT), ("other", OTHER)):
        (place / f"{name}.key").touch(0o600)
        (place / f"{name}.key").write_text(text)
    (place / "night.pub").write_text(NIGHT_PUB)
    (place / "other.pub").write_text(OTHER_PUB)


@pytest.fixture(scope="module")
def scored(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three images and an empty file, and its sealed table."""
    place = tmp_path_factory.mktemp("sealed")
    write_keys(place)
    (place / "images").mkdir()
    for k in range(3):
        (place / "images" / f"{k}.jpg").write_bytes(jpeg_bytes(k, width=48, height=40))
    (place / "images" / "empty.jpg").touch()
    code, said = score(place, tiny_engine, "--sign", place / "night.key")
    assert (code, f"sealed with the key {FINGERPRINT}" in said) == (3, True), said
    return place


@pytest.fixture
def place(scored: Path, tmp_path: Path) -> Path:
    """A copy of keys and outputs; the images stay where they are."""
    for path in scored.iterdir():
        if path.is_file():
            shutil.copy2(path, tmp_path)
    (tmp_path / "images").symlink_to(scored / "images")
    return tmp_path


def score(place: Path, engine: Path, *more: object) -> tuple[int, str]:
    command = ("score", place / "images", "--engine", engine, "--device", "cpu")
    return invoke(*command, "--out", place / "preds.csv", *more)


def verify(place: Path, *more: object, key: str = "night.pub") -> tuple[int, str]:
    command = ("verify", place / "preds.csv", place / "images", "--sample", 0)
    return invoke(*command, "--key", place / key, *more)


def outputs(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.glob("preds.csv*")}


def test_verify_says_which_key_sealed_the_table_and_what_that_proves(place: Path) -> None:
    code, said = verify(place)
    assert code == 0, said
    assert f"table and record are, byte for byte, what the key {FINGERPRINT} sealed" in said
    assert "Not proven" in said
    assert "that whoever has the key scored honestly" in said
    assert "no key seals them" not in said


def test_forged_rows_with_a_recomputed_record_do_not_fit_the_seal(place: Path) -> None:
    forge(place / "preds.csv", lambda rows: as_melanoma(rows[1]))
    command = ("verify", place / "preds.csv", place / "images", "--sample", 0)
    code, said = invoke(*command)
    assert code == 0, f"without the key the forgery is not seen: {said}"
    assert "preds.csv.seal.json was not checked" in said
    code, said = verify(place)
    assert code == 3
    assert ",seal: made for another table," in said
    assert ",seal: made for another record," in said
    assert f"not sealed by the key {FINGERPRINT}" in said


def with_hashes(place: Path, **more: str) -> None:
    """What a forger without the key can do to the seal."""
    from hambatch.system.files import as_json, sha256_of_file

    path = place / "preds.csv.seal.json"
    seal = json.loads(path.read_text()) | more
    for part in ("table", "record"):
        seal[part]["sha256"] = sha256_of_file(place / seal[part]["file"])
    path.write_text(as_json(seal))


def sealed_anew(place: Path) -> None:
    from hambatch.sinks.seal import SealedFile, seal_of
    from hambatch.system.files import sha256_of_file
    from hambatch.system.signing_keys import read_signing_key

    names = ("preds.csv", "preds.csv.run.json")
    files = [SealedFile(name, sha256_of_file(place / name)) for name in names]
    key = read_signing_key(place / "other.key")
    (place / "preds.csv.seal.json").write_text(seal_of("0.1.0", *files, key))


@pytest.mark.parametrize(
    ("attack", "what"),
    [
        (with_hashes, "seal: its signature is not by the key"),
        (sealed_anew, "seal: made with another key"),
        (
            lambda place: (sealed_anew(place), with_hashes(place, public_key_sha256=FINGERPRINT)),
            "seal: its signature is not by the key",
        ),
        (lambda place: (place / "preds.csv.seal.json").unlink(), "no seal"),
    ],
)
def test_a_forger_without_the_key_makes_no_seal(
    place: Path, attack: Callable[[Path], object], what: str
) -> None:
    forge(place / "preds.csv", lambda rows: as_melanoma(rows[1]))
    attack(place)
    code, said = verify(place)
    assert (code, f",{what}" in said) == (3, True), said
    assert "1 differences" not in said


def test_a_record_that_is_changed_where_nothing_else_can_see_it_does_not_fit(place: Path) -> None:
    edit_record(place / "preds.csv", lambda record: record["device"].update(system="Another"))
    code, said = verify(place)
    assert (code, ",seal: made for another record," in said) == (3, True), said


def test_files_that_are_moved_together_keep_their_seal(place: Path) -> None:
    for path in place.glob("preds.csv*"):
        path.rename(place / path.name.replace("preds", "moved"))
    command = ("verify", place / "moved.csv", place / "images", "--sample", 0)
    code, said = invoke(*command, "--key", place / "night.pub")
    assert (code, 'the record calls the table "preds.csv"' in said) == (0, True), said


def test_a_submission_is_sealed_too_and_its_seal_fits_no_other_table(
    place: Path, scored: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    other = tmp_path / "submission"
    other.mkdir()
    write_keys(other)
    (other / "images").symlink_to(scored / "images")
    sign = ("--format", "isic", "--sign", other / "night.key")
    code, said = score(other, tiny_engine, *sign)
    assert code == 3, said
    code, said = verify(other, "--format", "isic")
    assert (code, f"what the key {FINGERPRINT} sealed" in said) == (0, True), said
    assert "Not proven: any row" in said
    command = ("verify", other / "preds.csv", other / "images", "--format", "isic")
    assert "only the seal can be checked, wanted --key" in invoke(*command)[1]
    shutil.copy(other / "preds.csv.seal.json", place)
    code, said = verify(place)
    assert (code, ",seal: made for another table," in said) == (3, True), said
    table = other / "preds.csv"
    table.write_text(table.read_text().replace("0.", "0,", 1))
    code, said = verify(other, "--format", "isic")
    assert (code, ",seal: made for another table," in said) == (3, True), said


def test_another_key_is_named(place: Path) -> None:
    code, said = verify(place, key="other.pub")
    assert (code, f",seal: made with another key,{FINGERPRINT}," in said) == (3, True), said


def test_an_unsigned_run_leaves_no_earlier_seal(place: Path, tiny_engine: Path) -> None:
    assert score(place, tiny_engine)[0] == 1
    signed, named = outputs(place)["preds.csv"], "preds.csv.seal.json, the seal of the earlier"
    code, said = score(place, tiny_engine, "--overwrite")
    assert (code, named in said) == (3, True), said
    assert outputs(place).keys() == {"preds.csv", "preds.csv.run.json"}
    assert outputs(place)["preds.csv"] == signed, "a seal changes no row"
    # A seal that lies alone may be somebody's, and stays.
    for path in place.glob("preds.csv*"):
        path.unlink()
    (place / "preds.csv.seal.json").write_text(OLD)
    assert "seal.json exists already" in score(place, tiny_engine)[1]
    assert (place / "preds.csv.seal.json").read_text() == OLD


def test_a_retry_signs_no_rows_that_somebody_may_have_forged(
    place: Path, tiny_engine: Path
) -> None:
    forge(place / "preds.csv", lambda rows: [as_melanoma(rows[1]), as_failed(rows[2])])
    before = outputs(place)
    code, said = score(place, tiny_engine, "--retry-failed", "--sign", place / "night.key")
    assert (code, "the scored rows, which are kept, may be forged" in said) == (1, True), said
    assert outputs(place) == before


def run_killed_before(name: str, *arguments: object) -> None:
    """Run a command whose parent process is killed before an output gets its name."""
    script = (
        "import os, signal, sys\nparent = os.getpid()\n"
        "def meet(event, arguments):\n"
        "    if event == 'os.rename' and os.getpid() == parent:\n"
        f"        if str(arguments[1]).endswith({name!r}): os.kill(parent, signal.SIGKILL)\n"
        "sys.addaudithook(meet)\nfrom hambatch.cli import hambatch\nhambatch()\n"
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_after_a_kill_between_table_record_and_seal_the_same_command_ends_the_same(
    place: Path, tiny_engine: Path
) -> None:
    table, sign = (place / "preds.csv").read_bytes(), ("--sign", place / "night.key")
    command = ("score", place / "images", "--engine", tiny_engine, "--device", "cpu", *sign)
    retry = (*command, "--retry-failed", "--out", place / "preds.csv")
    for name in ("preds.csv.run.json", "preds.csv.seal.json"):
        run_killed_before(name, *retry)
        assert (place / "preds.csv.journal").exists()
    assert verify(place)[0] == 3, "the seal is of the earlier record"
    # A retry that began without this key is not signed later either.
    journal = place / "preds.csv.journal" / "run.json"
    began = journal.read_text()
    assert began.count(FINGERPRINT) == 1
    about = read_json(began.encode(), Begun)
    journal.write_bytes(content_of(replace(about, kept_under="")))
    assert "the scored rows, which are kept, may be forged" in invoke(*retry)[1]
    journal.write_text(began)
    code, said = invoke(*retry)
    assert (code, outputs(place)["preds.csv"]) == (3, table), said
    assert verify(place)[0] == 0
    assert outputs(place).keys() == {"preds.csv", "preds.csv.run.json", "preds.csv.seal.json"}


@pytest.mark.parametrize("why", UNFIT)
def test_a_key_that_cannot_sign_is_refused_before_any_work(
    place: Path, tmp_path: Path, why: str
) -> None:
    key = place / "night.key"
    key.write_text(UNFIT[why])
    before = outputs(place)
    code, said = score(place, tmp_path / "no_engine", "--overwrite", "--sign", key)
    assert (code, why in said, "Next: openssl" in said) == (1, True, True), said
    assert outputs(place) == before


def test_a_key_that_others_can_read_is_refused(place: Path, tmp_path: Path) -> None:
    key = place / "night.key"
    for mode in (0o640, 0o604, 0o620):
        key.chmod(mode)
        code, said = score(place, tmp_path / "no_engine", "--overwrite", "--sign", key)
        assert (code, f"(mode {mode:04o})" in said) == (1, True), said
        assert f"Next: chmod 600 {key}" in said


def test_a_key_is_not_written_over(place: Path, tmp_path: Path) -> None:
    out = place / "preds.csv"
    out.unlink()
    os.link(place / "night.key", out)
    code, said = score(place, tmp_path / "no_engine", "--overwrite", "--sign", place / "night.key")
    assert (code, "is an output of this run" in said) == (1, True), said
    assert out.read_text() == NIGHT


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_seal_that_cannot_be_written_is_found_before_any_work(
    place: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    (place / "preds.csv.seal.json").unlink()
    make(place / "preds.csv.seal.json")
    code, said = score(place, tmp_path / "no_engine", "--overwrite", "--sign", place / "night.key")
    assert (code, "preds.csv.seal.json is a folder, a device or a pipe" in said) == (1, True), said


def test_verify_wants_the_public_key_and_says_how_to_make_it(place: Path) -> None:
    code, said = verify(place, key="night.key")
    assert code == 1
    name, public = place / "night.key", place / "night.pub"
    assert f"Next: openssl pkey -in {name} -pubout -out {public}" in said


@pytest.mark.parametrize("command", [score, verify])
def test_without_cryptography_the_extra_is_named(
    place: Path, command: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    more = (place / "no_engine", "--sign", place / "night.key") if command is score else ()
    code, said = command(place, *more)
    assert (code, "pip install 'hambatch[sign]'" in said) == (1, True), said
