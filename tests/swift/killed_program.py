"""A program that acquires in Swift and says how many rows it has; it is there to be killed.

python tests/swift/killed_program.py FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(folder: Path) -> None:
    os.environ["XDG_DATA_HOME"], os.environ["XDG_CONFIG_HOME"] = str(folder / "data"), str(folder / "config")
    os.chdir(folder)
    from microscope_context import open_lab

    def say(progress) -> None:
        os.write(1, f"{progress.role.value} {progress.rows_valid}\n".encode())

    with open_lab(folder) as lab:
        lab.microscope.clock.time_scale = 20.0
        lab.run(lab.line_plan(pixels=400), on_progress=say)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(Path(sys.argv[1]))
