"""A process that gets next to no processor, whatever else the machine does; Linux only."""

STARVE = """
import os, subprocess, sys, time
def starve(seconds):
    processor = min(os.sched_getaffinity(0))
    busy = "import os, sys\\nprint('busy', flush=True)\\n"
    busy += "while os.getppid() == int(sys.argv[1]):\\n    pass"
    command = [sys.executable, "-S", "-c", busy, str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), {processor})
        os.sched_setaffinity(other.pid, {processor})
        os.nice(15)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass
        other.kill()
"""
"""Code for ``sitecustomize``: ``starve(seconds)`` computes for so long by the clock, while another
process leaves it about a thirtieth of a processor."""
