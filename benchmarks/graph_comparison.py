"""What quantisers.py and int8_layers.py share: the options, and figures of graphs in a result."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from gate_figures import Part, figures, gate_of, read_part, verdict
from graph_runs import OWN, REFERENCE, Graphs, kernel, speeds
from result import parser_of

from hambatch.engines.backend_names import FP32, INT8
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.measurements import GATE, VAL, Gate
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.system.cpu import available_cores, int8_kernels
from hambatch.training.dataset import Dataset, read_dataset

PARTS = (GATE, VAL)


def options_of(description: str, calibration_images: int) -> argparse.ArgumentParser:
    """Start the command line of a comparison."""
    parser = parser_of(description)
    parser.add_argument("--data", type=Path, required=True, help="split table of hambatch prepare")
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps the graphs")
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--calibration-images", type=int, default=calibration_images)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--count", type=int, default=0, help="images of each part; 0: all")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--timed-images", type=int, default=128, help="of each turn")
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument("--no-speed", action="store_true", help="make and score, time nothing")
    speed.add_argument("--only-speed", action="store_true", help="time what --work holds")
    return parser


class Comparison:
    """An engine, the held-out images, and graphs that are compared with FP32 on them."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.engine: Engine = load_engine(find_engine(chosen.engine))
        self.dataset: Dataset = read_dataset(chosen.data)
        self.settings = {
            "calibration_images": chosen.calibration_images,
            "seed": chosen.seed,
            "count": chosen.count,
            "split_sha256": self.dataset.split_sha256,
            "fp32_sha256": self.engine.graph_sha256(FP32),
            "int8_sha256": self.engine.graph_sha256(INT8),
        }
        self.graphs = Graphs(self.engine, chosen.work, self.settings)
        self.parts: list[Part] = [
            read_part(self.dataset, name, self.engine, chosen.count) for name in chosen.parts
        ]

    def score(self, name: str) -> dict[str, Any]:
        """Score a graph that is made, and compare it with FP32: figures by part, and the gate.

        With ``--only-speed`` nothing is scored: the figures are of what was.
        """
        found: dict[str, Any] = {}
        for part in self.parts:
            both = REFERENCE, name
            if self.chosen.only_speed and not all(
                self.graphs.is_scored(one, part.name) for one in both
            ):
                continue
            fp32, int8 = (self.graphs.logits(one, part.name, part.images, report) for one in both)
            found[part.name] = figures(fp32, int8)
            if part.name == GATE and name != REFERENCE:
                found[part.name]["verdict"] = verdict(self._gate(part, name, fp32, int8))
        return found

    def _gate(self, part: Part, name: str, fp32: np.ndarray, int8: np.ndarray) -> Gate:
        sha256 = {FP32: self.graphs.sha256(REFERENCE), INT8: self.graphs.sha256(name)}
        return gate_of(part, self.dataset.split_sha256, sha256, {FP32: fp32, INT8: int8})

    def time(self, names: list[str]) -> None:
        """Time graphs in turns, and keep the rates beside them."""
        images = self.parts[0].images[: self.chosen.timed_images]
        rates = self.graphs.rates(names, images, self.chosen.turns, report)
        self._rates.write_text(json.dumps(rates))

    @property
    def _rates(self) -> Path:
        return self.graphs.folder / f"rates_{kernel()}.json"

    def result(self, question: str, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Put the figures of graphs together, with their speeds as far as they were timed."""
        rates = json.loads(self._rates.read_text()) if self._rates.exists() else {}
        timed = speeds(rates, OWN) if rates else {}
        return {
            "question": question,
            "int8_kernels": int8_kernels(),
            "parts": {part.name: len(part.images) for part in self.parts},
            "streams": available_cores(),
            "timed_images": self.chosen.timed_images,
            "turns": len(next(iter(rates.values()))) if rates else 0,
            "graphs": {name: {**each, "speed": timed.get(name)} for name, each in found.items()},
            **self.settings,
            "engine_json_sha256": self.engine.manifest_sha256,
        }


def report(line: str) -> None:
    """Print a line of progress at once."""
    print(line, flush=True)


def shown(found: dict[str, Any]) -> str:
    """Say in a line what a graph changes, and how fast it is."""
    flips = ", ".join(f"{found[p]['label_flips']} of {p}" for p in PARTS if p in found)
    verdict = found.get("gate", {}).get("verdict")
    passed = {True: ", gate passed", False: ", gate FAILED"}[verdict["passed"]] if verdict else ""
    speed = f", {found['speed']['ratio']} of hambatch's speed" if found.get("speed") else ""
    return f"{flips} flip{passed}{speed}"
