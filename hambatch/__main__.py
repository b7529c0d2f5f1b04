"""`hambatch` and `python -m hambatch`: a signal waits until what handles it is imported."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C during its imports would end in a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    from hambatch.cli import main as run

    run(before)


if __name__ == "__main__":
    main()
