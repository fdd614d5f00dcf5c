"""Run the benchmarks: `make bench`, or `make bench ARGS="gateway --no-litellm"`.

Each is a command of its own that compares with a peer or the raw limit in the same run.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHES = {
    "digest": "digest.py",
    "guard": "guard.py",
    "hostile": "hostile.py",
    "held": "held.py",
    "encoder": "encoder.py",
    "batch": "batch.py",
    "gateway": "gateway",
    "overload": "overload.py",
    "scores": "scores.py",
    "evaluate": "evaluate.py",
    "guard-peers": "guard_peers.py",
    "guard-heads": "guard_heads.py",
    "secrets": "secret_recall.py",
    "false-alarms": "false_alarms.py",
}


def main(arguments):
    names = arguments[:1] or list(BENCHES)
    for name in names:
        if name not in BENCHES:
            print(f"There is no benchmark {name!r}; choose from {', '.join(BENCHES)}.")
            return 2
        print(f"## {name}", flush=True)
        done = subprocess.run([sys.executable, HERE / BENCHES[name], *arguments[1:]], check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
