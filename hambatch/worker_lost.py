"""A worker process that is gone, and what its user should do."""

from hambatch.errors import BackendError


class WorkerLost(BackendError):
    """A worker died or hung; ``cause`` says which, in a few words.

    ``hung`` tells the two apart; ``last_line`` is the last that the worker printed; ``loaded``
    whether it had loaded its engine.
    """

    def __init__(
        self, cause: str, last_words: str, *, hung: bool = False, loaded: bool = True
    ) -> None:
        # What dies before it has loaded anything dies of the machine, such as a broken driver.
        first = "" if loaded else "hambatch doctor, then "
        super().__init__(
            f"the worker process {cause}; its last words:\n{last_words or '(none)'}\n"
            f"Next: {first}run the same command again"
        )
        self.cause, self.hung = cause, hung
        self.last_line = last_words.rpartition("\n")[2]

    @property
    def in_short(self) -> str:
        """The cause, and what the worker said of it."""
        # Who ends by an exit code has printed an exception: a bug of ours is to be seen. Native
        # code that dies of a signal has at most printed what it thought of other files.
        own_words = self.last_line if "exit code" in self.cause else ""
        return f"{self.cause}: {own_words[:200]}" if own_words else self.cause
