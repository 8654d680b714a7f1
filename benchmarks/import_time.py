"""What `import repsim_geo` costs beside `import torch`, in fresh processes."""

import subprocess
import sys
import time


def seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main(rounds: int = 9) -> None:
    statements = {
        "import torch": [],
        "import torch  # again": [],
        "import torch, repsim_geo": [],
        "import torch, geoopt": [],
    }
    for _ in range(rounds):  # interleaved, so that a busy moment hits all of them
        for statement, times in statements.items():
            times.append(seconds(statement))
    base = min(statements["import torch"])
    print(f"fastest of {rounds} fresh processes, relative to 'import torch'")
    for statement, times in statements.items():
        print(f"  {statement:28s} {min(times) / base:.3f}")
    print("the second line is the noise floor; the goal for repsim_geo is at most 1.15")


if __name__ == "__main__":
    main()
