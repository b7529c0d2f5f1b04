"""hambatch.Scorer: an engine that stays loaded, for a program that has images."""

import gc
import os
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from itertools import chain, islice
from multiprocessing import util
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from hambatch import types
from hambatch.api.images import Images, images_of
from hambatch.api.options import ScorerOptions, StrPath, options_from
from hambatch.api.row import Row, public_row
from hambatch.api.stream import LoadedEngine
from hambatch.api.tables import frame_of
from hambatch.engines.loading import find_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.errors import BackendError, InputError
from hambatch.scoring.plan import plan_run
from hambatch.scoring.worker.spawned import END_PRIORITY
from hambatch.sinks.columns import carried_names, record_of
from hambatch.system.inherited import check_interpreter

if TYPE_CHECKING:
    from pandas import DataFrame

    from hambatch.api.images import Given

BATCH_SIZE = 32
"""Images of a batch, unless chosen: rows are yielded once sentinels were right in their request
and in their row, which they take in turn, batch after batch. With the command's 64 the first rows
come after twice as many images as with 32; one sentinel in 32 costs a sixty-fourth more."""

TABLE, ROWS = "table", "rows"
"""What a Scorer is busy with: a call that ends by itself, or an iteration that may pause."""


class Scorer:
    """Scores images with an engine that is loaded once.

    Rows, limits, checks and sentinels are those of ``hambatch score``. Use it as a context manager,
    or call :meth:`close`; its process also ends with the object, and with the interpreter.

    One call has it at a time. Calls of :meth:`table` from several threads take turns; while an
    iteration of :meth:`score` is open, any other call raises RuntimeError. It belongs to the
    process that made it.

    Parameters
    ----------
    engine
        Name of an installed engine, or a folder.
    options
        Those of ``hambatch score``, by the same names, but for those of a whole run, such as
        ``fail_over``. ``batch_size`` is 32 unless given.

    Raises
    ------
    HambatchError
        If an option, the engine or the device cannot be used.
    TypeError
        If there is no such option.
    """

    def __init__(self, engine: StrPath = DEFAULT_ENGINE, **options: Unpack[ScorerOptions]) -> None:
        check_interpreter()
        given = {"batch_size": BATCH_SIZE, **options}
        self._options = options_from("Scorer", engine, given, ScorerOptions)
        folder = find_engine(self._options.engine)
        plan = plan_run(folder, self._options)
        if len(plan.devices) > 1:
            raise InputError(
                f"a Scorer computes on one device, found device={self._options.device!r}.\n"
                "Next: take one of them, or hambatch.score, which shares images among several"
            )
        self._limits, self._backend = plan.job.limits, plan.job.backend_name
        self._changed, self._busy, self._thread = threading.Condition(), "", 0
        self._owner = os.getpid()
        self._loaded = LoadedEngine(folder, plan)
        # Before multiprocessing waits for its processes, and in no fork of this one.
        self._at_end = util.Finalize(self, self._loaded.close, exitpriority=END_PRIORITY + 10)

    def __enter__(self) -> Self:
        """Return the Scorer, whose engine is loading."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Name engine and backend."""
        state = ", closed" if self._loaded.closed else ""
        return f"<Scorer {self._options.engine}, {self._backend}{state}>"

    def __reduce__(self) -> Any:
        """Raise TypeError: what it holds cannot be copied to another process."""
        raise TypeError("a Scorer cannot be pickled; make one in each process")

    def close(self) -> None:
        """End the process; a second time does nothing. Iterations that are open raise then."""
        if self._owner == os.getpid():
            self._at_end()

    @overload
    def score(self, *sources: StrPath) -> Generator[Row, None, None]: ...

    @overload
    def score(self, images: "Iterable[Given]", /) -> Generator[Row, None, None]: ...

    def score(self, *given: Any) -> Generator[Row, None, None]:
        """Yield a row for each image, in order, as soon as sentinels have proven it.

        Parameters
        ----------
        given
            Paths, as many as there are sources: folders, archives, globs, manifests, files, as
            ``hambatch score`` takes and sorts them. Or one iterable of images, of any length, whose
            rows come in its order: paths of files, bytes of files, images of Pillow, uint8 arrays
            of height x width x 3, or pairs (name, image). An image without a name is called by its
            path as given, or by its position, from 0.

        Raises
        ------
        InputError
            If a source is not there, holds no image, or is given as an image.
        TypeError, ValueError
            If something is no image, or an array of another form. Of a list: before anything is
            scored. Of a generator: after the rows of the images before it.
        HambatchError
            If the machine cannot score. A bad image is a row whose ``status`` is ``failed``.
        RuntimeError
            If another iteration is open, or the Scorer is closed or of another process.
        """
        self._check_usable()
        return self._public_rows(images_of(given, self._options, self._limits))

    @overload
    def table(self, *sources: StrPath) -> "DataFrame": ...

    @overload
    def table(self, images: "Iterable[Given]", /) -> "DataFrame": ...

    def table(self, *given: Any) -> "DataFrame":
        """Score images as :meth:`score` does; gives what :func:`read_table` reads of their table.

        Raises as :meth:`score`.
        """
        self._check_usable()
        images = images_of(given, self._options, self._limits)
        with closing(self._rows(images, TABLE)) as rows:
            first = [*islice(rows, 1)]  # only now the columns are known
            names = carried_names(images.columns)
            return frame_of((record_of(row, names) for row in chain(first, rows)), names)

    def _public_rows(self, images: Images) -> Generator[Row, None, None]:
        columns: Sequence[str] | None = None
        with closing(self._rows(images, ROWS)) as rows:
            for row in rows:
                columns = carried_names(images.columns) if columns is None else columns
                yield public_row(row, columns)

    def _rows(self, images: Images, kind: str) -> Generator[types.Row, None, None]:
        """Draw rows; between two of them no lock is held."""
        self._begin(kind)
        rows = self._loaded.rows(images)
        try:
            while True:
                self._check_usable()
                with self._loaded.working:
                    row = next(rows, None)
                if row is None:
                    return
                yield row
        except BackendError:
            self._check_usable()  # another thread may have closed it meanwhile
            raise
        finally:
            self._finish(rows)

    def _begin(self, kind: str) -> None:
        """Wait for a call of another thread that ends by itself; raises RuntimeError for others."""
        self._check_usable()
        thread = threading.get_ident()
        with self._changed:
            while self._busy == TABLE and self._thread != thread:
                self._changed.wait()
            if self._busy:
                # An iteration that nobody has any more may wait to be collected.
                gc.collect()
            if self._busy:
                raise RuntimeError(
                    "this Scorer is busy with an iteration that is still open; draw it to its end, "
                    "close it (rows.close()), or take a second Scorer"
                )
            self._busy, self._thread = kind, thread

    def _finish(self, rows: Any) -> None:
        if self._owner != os.getpid():
            return
        with self._loaded.working:
            rows.close()
        with self._changed:
            self._busy = ""
            self._changed.notify_all()

    def _check_usable(self) -> None:
        if self._owner != os.getpid():
            raise RuntimeError(
                f"this Scorer belongs to the process {self._owner}, of which this one "
                f"({os.getpid()}) is a fork; make one in each process"
            )
        if self._loaded.closed:
            raise RuntimeError("this Scorer is closed; make another one")
