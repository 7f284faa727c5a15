"""Resolve every extra together, once, and write the hashed lock files in requirements/ (`make lock`).

One resolution, five files, so that a CPU machine, a GPU machine and CI install the same versions:
operator.txt (what `weir operator` needs), runtime.txt (what `weir serve` needs, torch left out), torch.txt (torch
alone), gpu.txt (the CUDA libraries of torch's PyPI build), test.txt (what is left: dev and nemo).
What is locked stays at its version, unless `--upgrade` is given. No index address is written; torch can come from
another index (`make setup TORCH_INDEX=…`).
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

OUT = Path("requirements")
CUDA = re.compile(r"^(nvidia-|cuda-|triton$)")
PINNED = re.compile(r"^[A-Za-z0-9._-]+==")
Lock = dict[str, str]  # package name -> its block of lines, hashes included


def resolve(extras: list[str], constraints: Lock | None = None) -> Lock:
    """The pinned packages that `extras` of pyproject.toml need, hashes included."""
    with tempfile.TemporaryDirectory() as folder:
        pins, target = Path(folder) / "pins.txt", Path(folder) / "out.txt"
        pins.write_text("\n".join(block.split(" \\")[0] for block in (constraints or {}).values()))
        source = ["pyproject.toml", *(f"--extra={name}" for name in extras)]
        command = ["uv", "pip", "compile", *source, "-c", str(pins), "-o", str(target), "-q", "--python-version=3.11"]
        subprocess.run([*command, "--generate-hashes", "--no-header", "--no-annotate"], check=True)
        return blocks_of(target.read_text())


def blocks_of(text: str) -> Lock:
    blocks = re.split(r"\n(?=\S)", text.strip())
    return {re.split(r"[=\[ ]", block)[0]: block for block in blocks if PINNED.match(block)}


def locked() -> Lock:
    return {name: block for path in OUT.glob("*.txt") for name, block in blocks_of(path.read_text()).items()}


def write(name: str, lock: Lock) -> None:
    (OUT / name).write_text("# Made by `make lock`.\n" + "\n".join(lock[key] for key in sorted(lock)) + "\n")


def main() -> None:
    everything = resolve(["operator", "runtime", "bench", "nemo", "dev"], {} if "--upgrade" in sys.argv else locked())
    operator = resolve(["operator"], everything)
    runtime = resolve(["runtime"], everything)
    torch = {"torch": everything["torch"]}
    gpu = {name: block for name, block in everything.items() if CUDA.match(name)}
    runtime = {name: block for name, block in runtime.items() if name not in torch and name not in gpu}
    seen = {*operator, *runtime, *torch, *gpu}
    write("operator.txt", operator)
    write("runtime.txt", runtime)
    write("torch.txt", torch)
    write("gpu.txt", gpu)
    write("test.txt", {name: block for name, block in everything.items() if name not in seen})


if __name__ == "__main__":
    sys.exit(main())
