"""A Scorer gives the rows of the command, in order, and keeps its engine loaded."""

import gc
import io
import os
import signal
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import Image

import hambatch
from hambatch.api import stream
from hambatch.api.command import Outcome
from hambatch.errors import InputError
from hambatch.scoring.worker import supervisor
from hambatch.system.files import sha256_of_bytes
from tests.conftest import jpeg_bytes, png_bytes, write_images
from tests.waiting import wait_for

BATCH = 4


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures of ``image_folder``, and a file that is none."""
    folder = write_images(tmp_path_factory.mktemp("api") / "images")
    (folder / "a" / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="module")
def scorer(graded_engine: Path) -> Iterator[hambatch.Scorer]:
    """One process for most tests of this file; so many are in its stages on every machine."""
    with hambatch.Scorer(graded_engine, batch_size=BATCH, threads=1) as one:
        yield one


@pytest.fixture(scope="module")
def outcome(images: Path, graded_engine: Path) -> Outcome:
    """What hambatch.score does, called on another thread than the main one."""
    found: list[Outcome] = []
    out = images.parent / "preds.csv"
    thread = threading.Thread(
        target=lambda: found.append(hambatch.score(images, out, engine=graded_engine))
    )
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture(scope="module")
def written(outcome: Outcome) -> pandas.DataFrame:
    """The table of the command."""
    return hambatch.read_table(outcome.table)


def pid_of(scorer: hambatch.Scorer) -> int:
    pid = scorer._loaded._worker._worker._process.pid
    assert pid
    return pid


def lives(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def first_images(images: Path, count: int) -> list[Path]:
    return sorted(images.glob("*.jpg"))[:count]


def test_the_function_does_what_the_command_does(outcome: Outcome) -> None:
    assert (outcome.images, outcome.scored, outcome.failed) == (25, 24, 1)
    assert not outcome.complete
    assert outcome.reasons == {"not an image that hambatch reads (text)": 1}
    assert outcome.record.exists()


def test_a_folder_has_the_rows_of_the_command_in_its_order(
    scorer: hambatch.Scorer, images: Path, written: pandas.DataFrame
) -> None:
    pandas.testing.assert_frame_equal(scorer.table(images), written)
    rows = [
        {k: v for k, v in asdict(row).items() if k != "carried"} for row in scorer.score(images)
    ]
    as_rows = written.astype(object).where(written.notna(), None).to_dict("records")
    texts = {"prediction", "decoder", "backend", "sha256", "reason"}
    texts |= {"quality", "risk", "risk_reason"}
    assert rows == [{k: v or "" if k in texts else v for k, v in row.items()} for row in as_rows]


def test_an_archive_that_is_replaced_between_two_calls_is_read_anew(
    scorer: hambatch.Scorer, tmp_path: Path
) -> None:
    path, found = tmp_path / "night.zip", []
    for seed in (1, 2):
        with zipfile.ZipFile(tmp_path / "new", "w") as archive:
            archive.writestr("one.jpg", jpeg_bytes(seed))
        os.replace(tmp_path / "new", path)
        found += scorer.score(path)
    assert [row.image for row in found] == ["night.zip!/one.jpg"] * 2
    assert [row.sha256 for row in found] == [sha256_of_bytes(jpeg_bytes(k)) for k in (1, 2)]


def test_links_out_of_a_folder_are_failed_rows_and_named_paths_are_followed(
    scorer: hambatch.Scorer, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(1))
    link = tmp_path / "folder" / "link.jpg"
    link.symlink_to(tmp_path / "a.jpg")
    assert [row.status for row in scorer.score(link.parent)] == ["failed"]
    assert [row.status for row in scorer.score([link])] == ["ok"]


def test_every_kind_of_image_has_its_row_in_the_order_given(
    scorer: hambatch.Scorer, images: Path, written: pandas.DataFrame
) -> None:
    path, pixels = images / "picture_00.jpg", np.asarray(Image.open(images / "last.png"))
    given = [
        path,
        path.read_bytes(),
        pixels,
        Image.open(images / "last.png"),
        ("=mine.png", pixels[:, ::-1][:, ::-1]),
        b"",
        str(images / "absent.jpg"),
    ]
    table = scorer.table(iter(given))
    assert table.image.tolist() == [
        *(str(path), "1", "2", "3", "%3Dmine.png", "5", str(images / "absent.jpg"))
    ]
    assert table.status.tolist() == ["ok"] * 5 + ["failed"] * 2
    numbers = [name for name in table if name.startswith("p_")]
    by_name = written.set_index("image")
    for place in (0, 1):
        assert (table.loc[place, numbers] == by_name.loc["picture_00.jpg", numbers]).all()
    # A PNG's pixels are themselves, whoever decodes it.
    for place in (2, 3, 4):
        assert (table.loc[place, numbers] == by_name.loc["last.png", numbers]).all()
    assert table.sha256[0] == table.sha256[1] == by_name.sha256["picture_00.jpg"]
    assert table.sha256[2] == table.sha256[3] == table.sha256[4]
    assert table.reason[5] == "empty file"
    assert table.reason[6].startswith("cannot be read: No such file")


def test_the_hash_of_pixels_is_the_same_on_every_machine(scorer: hambatch.Scorer) -> None:
    """It is that of a PNG whose pixels are stored: no version of zlib changes it."""
    pixels = np.arange(32 * 40 * 3, dtype=np.uint8).reshape(32, 40, 3)
    (row,) = scorer.score([pixels])
    assert row.sha256 == "de7815bbfd8151ff16cd7f40077be7725d56ee05345cc2104c41e357ad87f29a"


def test_a_turned_image_of_pillow_is_scored_upright(scorer: hambatch.Scorer) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = jpeg_bytes(3, exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        turned = [image, np.asarray(image.transpose(Image.Transpose.ROTATE_270)), content]
        first, second, third = scorer.score(turned)
    assert first.probabilities == second.probabilities == third.probabilities
    assert first.sha256 != second.sha256


def test_a_damaged_file_behind_an_image_of_pillow_is_a_failed_row(scorer: hambatch.Scorer) -> None:
    with Image.open(io.BytesIO(png_bytes(1)[:-200])) as image:
        bad, good = scorer.score([image, png_bytes(1)])
    assert (bad.status, good.status) == ("failed", "ok")
    assert bad.reason.startswith("cannot be decoded: ")
    assert (bad.p_mel, bad.probabilities) == (None, {})


def test_what_is_drawn_ahead_is_bounded_and_order_is_kept(scorer: hambatch.Scorer) -> None:
    content, drawn = png_bytes(1, 32, 32), 0

    def many() -> Iterator[tuple[str, bytes]]:
        nonlocal drawn
        for drawn in range(1, 401):
            yield str(drawn), content

    window = scorer._loaded._worker.wait_ready().window
    ahead = []
    for count, row in enumerate(scorer.score(many()), 1):
        assert row.image == str(count)
        ahead.append(drawn - count)
    assert count == 400
    # A sentinel visits every slot once in as many batches as there are slots.
    assert max(ahead) <= BATCH * (2 * BATCH + window)


def test_images_given_as_bytes_are_proven_before_they_take_much_memory(
    scorer: hambatch.Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, drawn = png_bytes(1, 32, 32), 0
    monkeypatch.setattr(stream, "HELD_BYTES", 10 * len(content))

    def many() -> Iterator[bytes]:
        nonlocal drawn
        for number in range(1, 201):
            drawn = number
            yield content

    window = scorer._loaded._worker.wait_ready().window
    ahead = max(drawn - count for count, _ in enumerate(scorer.score(many()), 1))
    assert ahead <= 10 + BATCH * (window + 1)


def test_rows_of_a_compressed_tar_come_in_the_order_of_names_to_whichever_thread_draws(
    scorer: hambatch.Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "ROWS_IN_MEMORY", 1)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        for number in (5, 3, 0, 4, 1, 2):
            content = jpeg_bytes(number)
            member = tarfile.TarInfo(f"{number}.jpg")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    rows, found = scorer.score(tmp_path / "x.tar.gz"), []
    for _ in range(6):
        thread = threading.Thread(target=lambda: found.append(next(rows)))
        thread.start()
        thread.join()
    assert [row.sha256 for row in found] == [sha256_of_bytes(jpeg_bytes(k)) for k in range(6)]
    rows.close()


def test_whoever_waits_for_each_image_gets_each_row(
    scorer: hambatch.Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PAUSE_S", 0.0)
    asked = []

    def slowly() -> Iterator[bytes]:
        for k in range(3):
            asked.append(k)
            yield jpeg_bytes(k)

    rows = scorer.score(slowly())
    assert [(next(rows).image, len(asked)) for _ in range(3)] == [("0", 1), ("1", 2), ("2", 3)]
    assert not list(rows)


def test_an_error_of_the_caller_comes_after_the_rows_before_it(scorer: hambatch.Scorer) -> None:
    def failing() -> Iterator[object]:
        yield jpeg_bytes(1)
        raise LookupError("mine")

    def wrong() -> Iterator[object]:
        yield jpeg_bytes(1)
        yield 7

    before, found = pid_of(scorer), []
    for images, error in ((failing(), LookupError), (wrong(), TypeError)):
        rows = scorer.score(images)  # type: ignore[arg-type]
        found.append(next(rows).status)
        with pytest.raises(error):
            next(rows)
    assert found == ["ok", "ok"]
    assert pid_of(scorer) == before
    assert scorer.table([jpeg_bytes(1)]).status.tolist() == ["ok"]


def test_an_iteration_that_is_left_half_way_gives_way_to_the_next(
    scorer: hambatch.Scorer, images: Path
) -> None:
    before = pid_of(scorer)
    for row in scorer.score(first_images(images, 6)):
        assert row.status == "ok"
        break
    assert next(scorer.score(first_images(images, 1))).status == "ok"
    # Another one that is only in a cycle.
    cycle: list[object] = [scorer.score([jpeg_bytes(1)])]
    cycle.append(cycle)
    next(cycle[0])  # type: ignore[call-overload]
    del cycle
    gc.disable()
    try:
        assert scorer.table([jpeg_bytes(2)]).status.tolist() == ["ok"]
    finally:
        gc.enable()
    assert pid_of(scorer) == before


def test_two_open_iterations_are_refused(scorer: hambatch.Scorer, images: Path) -> None:
    rows = scorer.score(images)
    next(rows)
    with pytest.raises(RuntimeError, match="still open"):
        scorer.table(images)
    with pytest.raises(RuntimeError, match="still open"):
        next(scorer.score(images))
    assert len(list(rows)) == 24


def test_tables_of_several_threads_take_turns(
    scorer: hambatch.Scorer, images: Path, written: pandas.DataFrame
) -> None:
    files, found = first_images(images, 6), {}

    def one(path: Path) -> None:
        found[path.name] = scorer.table([path]).p_mel[0]

    threads = [threading.Thread(target=one, args=(path,)) for path in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {path.name: written.set_index("image").p_mel[path.name] for path in files}


def test_a_process_that_is_killed_while_idle_costs_no_row(
    scorer: hambatch.Scorer, images: Path, written: pandas.DataFrame
) -> None:
    before = pid_of(scorer)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: not scorer._loaded._worker._worker.is_running, "it ends")
    pandas.testing.assert_frame_equal(scorer.table(images), written)
    assert scorer._loaded._worker.lost == []


def test_rows_that_no_sentinel_has_proven_are_scored_again(
    scorer: hambatch.Scorer, images: Path, written: pandas.DataFrame
) -> None:
    names, started = written.image[written.status == "ok"].tolist(), scorer._loaded._worker.started
    killed = []

    def killing() -> Iterator[tuple[str, bytes]]:
        for number, name in enumerate(names):
            if number == len(names) - 1:
                killed.append(pid_of(scorer))
                os.kill(killed[0], signal.SIGKILL)
            yield name, (images / name).read_bytes()

    found = scorer.table(killing())
    wanted = written[written.status == "ok"].reset_index(drop=True)
    pandas.testing.assert_frame_equal(found, wanted)
    assert not lives(killed[0])
    # One went on with the images of no answer, another with the answers of no proof.
    assert scorer._loaded._worker.started == started + 2


def test_sources_inside_a_list_are_refused_with_what_to_write(
    scorer: hambatch.Scorer, images: Path
) -> None:
    for bad, kind in ((images, "a folder"), ("x.zip", "an archive"), ("x.csv", "a table")):
        with pytest.raises(InputError, match=rf"{kind}; .*\nNext: .*scorer\.score\('folder'"):
            scorer.score([jpeg_bytes(1), bad])
    with pytest.raises(InputError, match="does not exist"):
        scorer.score("absent")


def test_much_work_that_is_left_ends_the_process(
    scorer: hambatch.Scorer, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LEFT_AT_MOST", 0)
    before, rows = pid_of(scorer), scorer.score([jpeg_bytes(1)] * 40)
    assert next(rows).status == "ok"
    rows.close()
    assert not lives(before)


def test_after_closing_every_use_is_refused_and_an_open_iteration_ends(
    scorer: hambatch.Scorer, images: Path
) -> None:
    """The last test: it closes the Scorer of all of them."""
    rows = scorer.score(images)
    assert next(rows).image == "a/broken.jpg"
    pid = pid_of(scorer)
    scorer.close()
    scorer.close()
    assert not lives(pid)
    for use in (lambda: next(rows), lambda: scorer.table(images), lambda: scorer.score(images)):
        with pytest.raises(RuntimeError, match="closed"):
            use()
    rows.close()
