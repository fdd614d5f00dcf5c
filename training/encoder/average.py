"""Write the weighted mean of two trained encoders.

    python training/encoder/average.py ONE.pt OTHER.pt PART OUT.pt

PART of the other, the rest of the one. Between weights that a short training has moved and those it
began with lies often what is better on sources seen in neither (Wortsman et al. 2022, arXiv
2109.01903).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("part", type=float)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    one, other = (torch.load(path, map_location="cpu") for path in (asked.one, asked.other))
    mean = {
        name: (1 - asked.part) * value + asked.part * other[name] for name, value in one.items()
    }
    torch.save(mean, asked.out)


if __name__ == "__main__":
    main()
