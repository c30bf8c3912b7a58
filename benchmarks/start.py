"""Seconds from the start of Python to the first answer, with the base install, where torch is not even present.

    tristance export runs/base/13 --onnx --int8
    python benchmarks/start.py runs/base/13

Makes an environment of its own for it (a minute or two), starts ten times for each precision, and tells the median; the
files are in the system's cache then, as on any start but the first.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from training import processor

ROOT = Path(__file__).parent.parent
CODE = """
from tristance.models import StanceClassifier
classifier = StanceClassifier.from_pretrained({model!r}, precision={precision!r})
print(classifier.predict("Lavrov told the West that its era of domination was over.").stance["west"].label)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run that was exported, in fp32 and int8")
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    model = str(Path(options.run, "model").resolve())
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder, "bin", "python"))
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, "-c", str(ROOT / "constraints.txt"), str(ROOT)], check=True)
        print(f"base install, {options.times} starts; {processor()}\n")
        print("| | seconds, median | least | most |\n| --- | --- | --- | --- |")
        for precision in ("fp32", "int8"):
            seconds = []
            for _ in range(options.times + 1):
                start = time.perf_counter()
                subprocess.run(
                    [python, "-c", CODE.format(model=model, precision=precision)],
                    check=True,
                    capture_output=True,
                    cwd=folder,
                )
                seconds.append(time.perf_counter() - start)
            warm = seconds[1:]
            print(f"| {precision} | {statistics.median(warm):.2f} | {min(warm):.2f} | {max(warm):.2f} |")


if __name__ == "__main__":
    main()
