"""Result files of `hambatch bench` as tests need them."""

import json

import numpy as np


def rates(median, scatter, repeats, seed):
    """Draw rates (or times) whose logarithms scatter normally."""
    logs = np.random.default_rng(seed).normal(np.log(median), scatter, repeats)
    return [float(value) for value in np.exp(logs)]


def throughput(images_per_s, precision="fp32", batch_size=8, streams=2, stage="inference"):
    """Build one throughput series, named as the measuring part names them."""
    return {
        "name": f"{stage} openvino-{precision}, batch {batch_size}, {streams} streams x 1 thread",
        "stage": stage,
        "settings": {
            "backend": "openvino",
            "precision": precision,
            "batch_size": batch_size,
            "streams": streams,
            "threads_a_stream": 1,
        },
        "images": 320,
        "warmup_images": 64,
        "images_per_s": images_per_s,
        "median": float(np.median(images_per_s)),
        "min": min(images_per_s),
        "max": max(images_per_s),
        "cpu_cores": 1.98,
        "peak_rss_mb": 512.0,
    }


def latency(repeats_p50_ms, precision="fp32", p99=31.5):
    """Build one latency series; without a p99 it had too few samples."""
    p50 = float(np.median(repeats_p50_ms))
    return {
        "name": f"latency openvino-{precision}, batch 1",
        "stage": "inference",
        "settings": {"backend": "openvino", "precision": precision, "batch_size": 1},
        "samples": 500 if p99 else 200,
        "repeats_p50_ms": repeats_p50_ms,
        "percentiles_ms": {"50": p50, "90": p50 * 1.1, "95": p50 * 1.2, "99": p99},
        "not_valid": {} if p99 else {"99": "needs 459 samples, has 200"},
    }


def result(*series, what="engine", **parts):
    """Build a whole result; ``parts`` replace what they name."""
    whole = {
        "format": 1,
        "kind": "hambatch bench",
        "what": what,
        "measured_utc": "2026-11-24T03:40:00+00:00",
        "verdict": "40.0 images/s",
        "machine": {
            "cpu": "AMD EPYC",
            "cores": 2,
            "instruction_set": "AVX-512",
            "memory_gib": 24.0,
            "system": "Linux",
        },
        "versions": {"openvino": "2026.4.0", "numpy": "2.4.1"},
        "hambatch": "0.4.0",
        "engine": {"name": "e", "version": "1", "engine_json_sha256": "ab12"},
        "source": {"images": 32, "generated": True, "bytes_median": 24000},
        "options": {"repeats": 10},
        "throughput": [one for one in series if "images_per_s" in one],
        "latency": [one for one in series if "samples" in one],
        "stages": {},
        "ceiling": None,
    }
    return whole | parts


def write(path, whole):
    """Write a result file."""
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path
