"""The encoder in PyTorch: layers of BERT, a pooling for each head, logits for all at once.

Layers as in Devlin et al. 2019 (arXiv 1810.04805), sizes and weights of all-MiniLM-L6-v2. A head
looks at a text by its own attention over tokens (as Lin et al. 2017, arXiv 1703.03130): one order
in a long document must not drown in the mean.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from heads import POOLS, TOKENS
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as fn


class Layer(nn.Module):
    """One layer of BERT."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, eps=1e-12)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the next states; `mask` [B, 1, 1, L] is added to the attention's logits."""
        rows, length, width = x.shape
        q, k, v = self.qkv(x).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        look = torch.softmax(
            (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + mask.to(q.dtype), dim=-1
        )
        seen = look.to(v.dtype) @ v  # written out: on a CPU the fused form takes longer backwards
        x = self.norm1(x + self.out(seen.transpose(1, 2).reshape(rows, length, width)))
        return self.norm2(x + self.down(fn.gelu(self.up(x))))


class Pool(nn.Module):
    """One head: where it looks, and what it says of what it sees."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.look = nn.Linear(width, 1)
        self.dense = nn.Linear(2 * width, 128)
        self.say = nn.Linear(128, classes)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        weights = torch.softmax(self.look(x).squeeze(-1) + mask.squeeze(1).squeeze(1), dim=-1)
        seen = torch.cat([(weights.unsqueeze(-1) * x).sum(1), x[:, 0]], dim=-1)
        return self.say(fn.gelu(self.dense(seen)))


class Encoder(nn.Module):
    """Token numbers to logits of all heads.

    Args:
        config: `config.json` of a BERT model.
    """

    def __init__(self, config: dict[str, int]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.words = nn.Embedding(config["vocab_size"], width, padding_idx=0)
        self.places = nn.Embedding(config["max_position_embeddings"], width)
        self.kinds = nn.Embedding(config["type_vocab_size"], width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(
            Layer(width, config["num_attention_heads"], config["intermediate_size"])
            for _ in range(config["num_hidden_layers"])
        )
        self.pools = nn.ModuleList(Pool(width, classes) for classes in POOLS.values())
        self.token = nn.Linear(width, len(TOKENS))

    def states(self, ids: Tensor, attention: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last states [B, L, width] and the mask that hides padding."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.words(ids) + self.places(places) + self.kinds(kinds))
        mask = (1.0 - attention[:, None, None, :].to(x.dtype)) * -10000.0
        for layer in self.layers:
            x = layer(x, mask)
        return x, mask

    def forward(self, ids: Tensor, attention: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
        """Return `sequence` [B, len(SEQUENCE)] and `tokens` [B, L, len(TOKENS)].

        Args:
            ids: Token numbers [B, L].
            attention: 1 for tokens, 0 for padding [B, L].
            kinds: 0 for the text, 1 for its pair [B, L].
        """
        x, mask = self.states(ids, attention, kinds)
        x, mask = x.float(), mask.float()
        return torch.cat([pool(x, mask) for pool in self.pools], dim=-1), self.token(x)


def paths(doc: str | None, *names: str) -> argparse.Namespace:
    """Return the paths that a command was given, by name."""
    parser = argparse.ArgumentParser(description=doc)
    for name in names:
        parser.add_argument(name, type=Path)
    return parser.parse_args()


def base(folder: Path) -> Encoder:
    """Return the encoder with the base model's layers and new heads.

    Args:
        folder: `config.json` and `model.safetensors` as all-MiniLM-L6-v2 has them.
    """
    config = json.loads((folder / "config.json").read_text())
    given = load_file(folder / "model.safetensors")
    encoder = Encoder(config)
    own = {
        "words.weight": given["embeddings.word_embeddings.weight"],
        "places.weight": given["embeddings.position_embeddings.weight"],
        "kinds.weight": given["embeddings.token_type_embeddings.weight"],
        "norm.weight": given["embeddings.LayerNorm.weight"],
        "norm.bias": given["embeddings.LayerNorm.bias"],
    }
    names = {
        "attention.output.dense": "out",
        "attention.output.LayerNorm": "norm1",
        "intermediate.dense": "up",
        "output.dense": "down",
        "output.LayerNorm": "norm2",
    }
    for number in range(config["num_hidden_layers"]):
        there = f"encoder.layer.{number}"
        for part in ("weight", "bias"):
            three = [given[f"{there}.attention.self.{n}.{part}"] for n in ("query", "key", "value")]
            own[f"layers.{number}.qkv.{part}"] = torch.cat(three)
            for theirs, ours in names.items():
                own[f"layers.{number}.{ours}.{part}"] = given[f"{there}.{theirs}.{part}"]
    left, surplus = encoder.load_state_dict(own, strict=False)
    if surplus or not all(name.startswith(("pools.", "token.")) for name in left):
        raise SystemExit(f"{folder} does not hold the expected BERT: {left} {surplus}")
    return encoder
