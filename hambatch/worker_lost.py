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
