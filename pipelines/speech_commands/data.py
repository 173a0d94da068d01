"""Where spoken words come from: the Free Spoken Digit Dataset, or drawn speech in the layout of Speech Commands.

`sample` draws speakers that differ in pitch, vocal tract, tempo, breath and room, and are recorded at 8, 16 or 22.05
kHz (voices.py), with nine words beside the ten digits and noises without speech. Words are easier to tell than real
ones: nobody has an accent, mumbles or is cut off.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from pipelines.base import archives
from pipelines.speech_commands import wav
from pipelines.speech_commands.project import PROJECT

ARCHIVE = "free-spoken-digit-dataset-1.0.10.zip"
OFFICIAL_RECORDINGS = 3_000
OTHER_WORDS_SHARE = 4
LEAST_SPEAKERS, MOST_SPEAKERS = 10, 40
NOISES, NOISE_SECONDS = 4, 40.0


def fetch(folder: Path) -> None:
    """Downloads release 1.0.10 (16 MB) and counts its recordings; ProjectError says what to do.

    The publisher gives no digest: the archive's own checksums and the published number of recordings are checked.
    """
    url, target = PROJECT.data.url, folder / ARCHIVE
    other_way = (
        "Put the recordings, or an archive of them, into a folder and pass it: viaduct run speech_commands --profile "
        "full --data FOLDER."
    )
    archives.fetch_zip(PROJECT.name, url, target, _is_recording, "recordings", OFFICIAL_RECORDINGS, other_way)


def _is_recording(name: str) -> bool:
    return "/recordings/" in name and name.endswith(".wav")


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes about `rows` drawn recordings and four noises to words.zip; same seed, same bytes.

    Every speaker says every digit once or more, and one other word for four digits.
    """
    from pipelines.speech_commands.voices import SPOKEN, noise, say, voice
    from pipelines.speech_commands.words import WORDS

    random = np.random.default_rng(seed)
    others = [word for word in SPOKEN if word not in WORDS]
    speakers = int(np.clip(rows // 40, LEAST_SPEAKERS, MOST_SPEAKERS))
    each = max(1, round(rows / speakers / (len(WORDS) * (1 + 1 / OTHER_WORDS_SHARE))))
    with zipfile.ZipFile(folder / "words.zip", "w") as archive:

        def add(name: str, samples: np.ndarray, rate: int) -> None:
            # With ZipInfo's own date the archive does not depend on when it was made.
            archive.writestr(zipfile.ZipInfo(name), wav.write(samples, rate))

        for speaker in range(speakers):
            who = voice(random)
            said = [word for word in WORDS for _ in range(each)]
            said += [
                others[i % len(others)] for i in range(speaker, speaker + len(said) // OTHER_WORDS_SHARE)
            ]
            for number, word in enumerate(said):
                name = f"{word}/{seed:04x}{speaker:04x}_nohash_{number}.wav"
                add(name, say(word, who, random), who.rate)
        for number in range(NOISES):
            add(f"_background_noise_/noise_{number}.wav", 0.3 * noise(NOISE_SECONDS, 16_000, random), 16_000)
