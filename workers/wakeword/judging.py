"""A detector put to the test: hours of other speech, the word under each condition, and what is nearly the word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workers.wakeword import evaluation, trials
from workers.wakeword.backdrop import Backdrop, stride
from workers.wakeword.evaluation import Scorer
from workers.wakeword.report import Findings, Spoken
from workers.wakeword.samples import Sample
from workers.wakeword.splits import USER
from workers.wakeword.windows import Front

_CLIPS, _NEAR = 120, 240


def findings(
    scorer: Scorer,
    front: Front,
    word: Sequence[Sample],
    near: Sequence[Sample],
    val_others: Backdrop,
    test_others: Backdrop,
    seed: int,
) -> Findings:
    """What there is to know of the detector; clips and speech are such as no training has seen."""
    clips, nearly = _some(word, _CLIPS, seed), _some(near, _NEAR, seed)

    def spoken(samples: Sequence[Sample], condition: str) -> Spoken:
        frames = trials.frames(samples, condition, front, seed)
        scores = evaluation.heard(scorer, frames, stride(front))
        return Spoken([clip.text for clip in samples], [clip.family for clip in samples], scores)

    return Findings(
        val_alarms=evaluation.alarms(scorer, val_others),
        test_alarms=evaluation.alarms(scorer, test_others),
        said={condition: spoken(clips, condition) for condition in trials.CONDITIONS},
        nearly=spoken(nearly, "clean"),
    )


def _some(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """At most so many, drawn; all that the user recorded among them."""
    own = [sample for sample in samples if sample.family == USER]
    rest = [sample for sample in samples if sample.family != USER]
    order = np.random.default_rng([seed, 11]).permutation(len(rest))
    return own + [rest[at] for at in order[: max(0, count - len(own))]]
