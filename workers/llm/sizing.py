"""How much memory a fine-tuning will take and how many steps it has: estimates, from the base model's shape alone."""

from __future__ import annotations

import math

from workers.llm.bases import Base
from workers.llm.config import ALL_LINEAR, Config

# The process with torch, transformers and trl in it, before it holds any weights.
RUNTIME_BYTES = 560_000_000
# The GPU's own context and the libraries on it.
GPU_RUNTIME_BYTES = 700_000_000
# A weight in 4 bits with its share of the scales.
_BYTES_IN_4_BITS = 0.56
# Weight, gradient and AdamW's two averages, in 32 bits.
_BYTES_OF_ADAPTER_WEIGHT = 16
# Numbers kept of each token for the way back, by the widths of a layer; fitted to measurements of Llamas.
_KEPT_OF_HIDDEN, _KEPT_OF_INTERMEDIATE, _KEPT_OF_SCORES = 12, 4, 1


def steps(train_rows: int, config: Config) -> int:
    """How many steps the whole training has at most."""
    each = math.ceil(math.ceil(train_rows / config.batch_size) / config.gradient_accumulation_steps)
    return each * config.num_epochs


def adapter_parameters(base: Base, config: Config) -> int:
    """How many weights are learned, for the layers of a Llama; what has other names counts as ``hidden`` wide."""
    hidden, head = base.hidden, base.hidden // max(1, base.heads)
    narrow = head * base.key_value_heads
    shapes = {
        "q_proj": (hidden, hidden),
        "k_proj": (hidden, narrow),
        "v_proj": (hidden, narrow),
        "o_proj": (hidden, hidden),
        "gate_proj": (hidden, base.intermediate),
        "up_proj": (hidden, base.intermediate),
        "down_proj": (base.intermediate, hidden),
    }
    names = list(shapes) if config.target_modules == (ALL_LINEAR,) else config.target_modules
    return sum(base.layers * config.lora_r * sum(shapes.get(name, (hidden, hidden))) for name in names)


def memory_bytes(base: Base, config: Config, *, longest_tokens: int, device: str = "cpu") -> int:
    """The peak of a training whose longest example has so many tokens; on a GPU that of the GPU's memory.

    Meant for refusing what cannot fit: on the base models it was fitted to it is within a fifth.
    """
    on_gpu = device.startswith("cuda")
    number_bytes = 2 if on_gpu else 4
    in_4_bits = config.quantization == "4bit" or base.quantized == "4bit"
    weights = base.parameters * (_BYTES_IN_4_BITS if in_4_bits else number_bytes)
    if in_4_bits:
        # The embedding is not packed.
        weights += base.vocabulary * base.hidden * number_bytes
    learned = adapter_parameters(base, config) * _BYTES_OF_ADAPTER_WEIGHT
    tokens = config.batch_size * min(longest_tokens, config.max_seq_length)
    width = _KEPT_OF_HIDDEN * base.hidden + _KEPT_OF_INTERMEDIATE * base.intermediate
    width += _KEPT_OF_SCORES * base.heads * min(longest_tokens, config.max_seq_length)
    layers = 1 + math.sqrt(base.layers) if config.gradient_checkpointing else base.layers
    kept = tokens * width * layers * number_bytes
    # Scores over the vocabulary are made in pieces of some tokens, in 32 bits, with their gradient.
    scores = 2 * min(tokens, 1024) * base.vocabulary * 4
    return round((GPU_RUNTIME_BYTES if on_gpu else RUNTIME_BYTES) + weights + learned + kept + scores)
