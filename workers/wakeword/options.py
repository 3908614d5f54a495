"""What can be chosen about a training: names as the API has them, defaults, bounds. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

MODEL_TYPES = ("ast", "embedding", "tcresnet", "bcresnet", "fewshot")


_NO_AST = "There are no weights of an Audio Spectrogram Transformer here (AST_FOLDER)."


def resolved(model_type: str, *, has_ast: bool) -> tuple[str, str]:
    """The type of model that is made when this one is asked for, and why it is another (empty where it is not)."""
    return ("embedding", _NO_AST) if model_type == "ast" and not has_ast else (model_type, "")


def _bounded(default: Any, low: float, high: float, says: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "says": says})


def _switch(default: bool, says: str) -> Any:
    return field(default=default, metadata={"says": says})


@dataclass(frozen=True)
class Options:
    """The options of one training. Each field's metadata holds ``says`` and, for numbers, ``low`` and ``high``."""

    batch_size: int = _bounded(32, 4, 1024, "Windows in a step")
    learning_rate: float = _bounded(0.0001, 1e-6, 0.1, "Of AdamW, at its highest")
    num_epochs: int = _bounded(100, 1, 1000, "At most")
    early_stopping: int = _bounded(8, 1, 1000, "Epochs without getting better after which training ends")
    dropout: float = _bounded(0.5, 0.0, 0.9, "Share of the head's numbers that each step leaves out")
    label_smoothing: float = _bounded(0.1, 0.0, 0.5, "How far targets are moved towards one half")
    mixup_alpha: float = _bounded(0.5, 0.0, 4.0, "How strongly windows are mixed with each other; 0 is not at all")
    use_focal_loss: bool = _switch(False, "Counts what is told easily for less")
    focal_alpha: float = _bounded(0.5, 0.0, 1.0, "Of the focal loss: weight of the word against everything else")
    focal_gamma: float = _bounded(2.0, 0.0, 10.0, "Of the focal loss: how much less")
    use_attention: bool = _switch(False, "Weighs the frames by what is in them, instead of putting them side by side")
    use_se_block: bool = _switch(False, "Scales channels by what the others say over the whole window")
    use_tcn: bool = _switch(False, "Dilated convolutions over time before the decision")
    use_tts_positives: bool = _switch(True, "Has every voice at hand say the word")
    use_real_negatives: bool = _switch(True, "Learns from the negative cache: people who say something else")
    use_hard_negatives: bool = _switch(True, "Learns from words that sound nearly the same, and from halves of it")
    target_positive_samples: int = _bounded(4000, 20, 200_000, "Windows with the word in them")
    negative_ratio: float = _bounded(2.0, 0.0, 50.0, "Windows of other speech for each with the word, anew each epoch")
    hard_negative_ratio: float = _bounded(0.5, 0.0, 10.0, "Windows with nearly the word for each with the word")

    @classmethod
    def of(cls, given: dict[str, Any]) -> Options:
        """The options with what is given of them.

        Raises:
            ValueError: a name is unknown, or a number outside its bounds; the text names it.
        """
        known = {each.name: each for each in fields(cls)}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"there is no option {name!r}")
            about = known[name].metadata
            if "low" in about and not about["low"] <= value <= about["high"]:
                raise ValueError(f"{name} {value} is outside {about['low']:g} to {about['high']:g}")
        return cls(**given)
