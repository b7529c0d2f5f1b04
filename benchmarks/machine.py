"""Which machine a result is from."""

from pathlib import Path


def cpu_name() -> str:
    """Model name and vector extensions that matter, from /proc/cpuinfo."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    known = {key.strip(): value for key, value in fields.items()}
    flags = known.get("flags", "").split()
    wanted = [
        f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if f in flags
    ]
    return " ".join([known.get("model name", "unknown").strip(), *wanted])
