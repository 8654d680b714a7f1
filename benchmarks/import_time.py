"""What `import repsim_geo` costs beside `import torch`, in fresh processes."""

import os
import subprocess
import sys


def seconds(statement: str) -> float:
    """Of the processor, in a process of its own."""
    before = os.times()
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = os.times()
    return sum(getattr(after, part) - getattr(before, part) for part in ("children_user", "children_system"))


def ratios(rounds: int = 9) -> dict[str, float]:
    """Time of every statement, over that of the first."""
    statements = {
        "import torch": [],
        "import torch  # again": [],
        "import torch, repsim_geo": [],
        "import torch, geoopt": [],
    }
    for _ in range(rounds):  # interleaved, so that a busy moment hits all of them
        for statement, times in statements.items():
            times.append(seconds(statement))
    return {
        statement: min(times) / min(statements["import torch"]) for statement, times in statements.items()
    }


def main(rounds: int = 9) -> None:
    print(f"fastest of {rounds} fresh processes, relative to 'import torch'")
    for statement, ratio in ratios(rounds).items():
        print(f"  {statement:28s} {ratio:.3f}")
    print("the second line is the noise floor; the goal for repsim_geo is at most 1.15")


if __name__ == "__main__":
    main()
