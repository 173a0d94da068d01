"""From recordings in folders and archives to rows and their splits, in either layout that spoken words come in.

Free Spoken Digit Dataset: `<digit or word>_<speaker>_<number>.wav`. Few speakers say everything often, so recordings
are split by their number and speakers are known, or (`left_out`) one speaker is judged and was never heard.
Speech Commands: `<word>/<speaker>_nohash_<number>.wav`, and the judged speakers are others than those trained on.
In both `_background_noise_/*.wav` is what is heard when nobody speaks; see making.py for rows that are made.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pipelines.base.errors import ProjectError
from pipelines.speech_commands import making
from pipelines.speech_commands.features import AUDIO_KEY, LABEL_KEY
from pipelines.speech_commands.words import SILENCE, UNKNOWN, WORDS

SPLITS = ("train", "tune", "eval")
NOISE_FOLDER = "_background_noise_"
# Of a speaker's recordings of a word, those with the lowest numbers: judged, and watched while training. The official
# test are numbers 0 to 4 of 50.
EVAL_SHARE, TUNE_SHARE = 0.1, 0.06
# Of all speakers, where splits are by speaker.
EVAL_SPEAKERS, TUNE_SPEAKERS = 0.25, 0.1
# Rows of other words and without speech, in multiples of the mean number of rows of a word.
UNKNOWN_SHARE, SILENCE_SHARE = 2.0, 1.5
ARCHIVES = (".zip", ".tar", ".tgz", ".gz")
_SPOKEN = re.compile(r"([a-z]+|[0-9])_([^_]+)_([0-9]+)")
_BY_SPEAKER = re.compile(r"([0-9a-zA-Z]+)_nohash_([0-9]+)")


class Recording(NamedTuple):
    """One clip: where it comes from, what is said, who says it, its number, whether speakers are many, its bytes."""

    name: str
    word: str
    speaker: str
    number: int
    by_speaker: bool
    audio: bytes


def read_rows(files: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, row) in an order that looks random and never changes.

    `options`: "left_out", a speaker who is judged and not trained on, or ""; "held_out", words with commas between that
    are taken for unknown ones. Raises ProjectError for a file that is no such recording, naming it.
    """
    recordings, noises = find(files)
    splits = assign(recordings, str(options.get("left_out", "")))
    held_out = [word for word in str(options.get("held_out", "")).split(",") if word]
    rows = list(_rows(recordings, noises, splits, held_out))
    yield from sorted(rows, key=lambda row: _digest(row[0] + row[1]["name"]))


def _rows(
    recordings: Sequence[Recording],
    noises: Mapping[str, bytes],
    splits: Mapping[str, str],
    held_out: Sequence[str],
) -> Iterator[tuple[str, dict[str, Any]]]:
    known = [word for word in WORDS if word not in held_out]
    others = sorted({one.word for one in recordings} - set(known), key=_digest)
    # The last third of the other words is judged and never trained on: a stranger to the model as most words are.
    strangers = set(others[len(others) - max(len(others) // 3, 1) :]) if len(others) > 1 else set()
    checked = making.Checked()
    spoken: dict[str, list[Recording]] = defaultdict(list)
    for one in recordings:
        checked.samples(one.name, one.audio)
        spoken[splits[one.name]].append(one)
    for split in SPLITS:
        words = [one for one in spoken[split] if one.word in known]
        for one in words:
            yield split, _row(one, WORDS.index(one.word), "word")
        mean = len(words) / len(known)
        wanted = round(UNKNOWN_SHARE * mean)
        unknown = [
            one
            for one in spoken[split]
            if one.word in others and (one.word in strangers) == (split == "eval")
        ]
        unknown = sorted(unknown, key=lambda one: _digest(one.name))[:wanted]
        if not strangers or (split != "eval" and len(others) - len(strangers) < 3):
            unknown += making.reversed_words(
                sorted(words, key=lambda one: _digest(one.name)), wanted, checked
            )
        for one in unknown:
            yield split, _row(one, UNKNOWN, "unknown")
        for name, audio in making.without_speech(noises, split, max(2, round(SILENCE_SHARE * mean)), checked):
            yield split, _row(Recording(name, "", "", 0, False, audio), SILENCE, "silence")


def _row(one: Recording, label: int, kind: str) -> dict[str, Any]:
    told = {"name": one.name, "word": one.word or "none", "speaker": one.speaker or "none", "kind": kind}
    return {AUDIO_KEY: one.audio, LABEL_KEY: label, **told}


def find(files: Sequence[Path]) -> tuple[list[Recording], dict[str, bytes]]:
    """Every recording, and the noises by name. Raises ProjectError for a .wav whose name tells no word and speaker."""
    recordings, noises = [], {}
    for path, read in (member for file in files for member in _members(file)):
        if path.suffix.lower() != ".wav":
            continue
        folder, stem = path.parent.name, path.stem
        name = f"{folder}/{path.name}"
        if folder == NOISE_FOLDER:
            noises[name] = read()
        elif match := _BY_SPEAKER.fullmatch(stem):
            recordings.append(Recording(name, folder, match[1], int(match[2]), True, read()))
        elif match := _SPOKEN.fullmatch(stem):
            word = WORDS[int(match[1])] if match[1].isdigit() else match[1]
            recordings.append(Recording(path.name, word, match[2], int(match[3]), False, read()))
        else:
            raise ProjectError(
                f"speech_commands: {str(path)!r} names no word and speaker; expected <word>_<speaker>_<number>.wav, "
                f"<word>/<speaker>_nohash_<number>.wav, or a noise in {NOISE_FOLDER}/."
            )
    there = {one.word for one in recordings}
    if missing := [word for word in WORDS if word not in there]:
        raise ProjectError(
            f"speech_commands: no recording of {', '.join(missing)} in {[str(file) for file in files][:5]}; expected "
            "every digit, in .wav files or in archives (.zip, .tar.gz) of them."
        )
    return recordings, noises


def _members(file: Path) -> Iterator[tuple[PurePosixPath, Callable[[], bytes]]]:
    """(path, reader) of a file, or of each file in it if it is an archive."""
    try:
        if file.suffix == ".zip":
            archive = zipfile.ZipFile(file)
            for name in archive.namelist():
                yield PurePosixPath(name), lambda name=name: archive.read(name)  # type: ignore[misc]
        elif file.suffix in ARCHIVES:
            with tarfile.open(file) as packed:
                for member in packed:
                    if member.isfile():
                        yield PurePosixPath(member.name), lambda m=member: packed.extractfile(m).read()  # type: ignore
        else:
            yield PurePosixPath(file.as_posix()), file.read_bytes
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise ProjectError(f"speech_commands: {file} is no archive that can be read: {error}.") from error


def assign(recordings: Sequence[Recording], left_out: str = "") -> dict[str, str]:
    """The split of every recording by its name. Raises ProjectError for a `left_out` whom nobody heard."""
    speakers = sorted({one.speaker for one in recordings}, key=_digest)
    if left_out and left_out not in speakers:
        raise ProjectError(
            f"speech_commands: left_out is {left_out!r}; expected one of {sorted(speakers)[:20]}."
        )
    if any(one.by_speaker for one in recordings):
        return _by_speaker(recordings, speakers, left_out)
    groups: dict[tuple[str, str], list[Recording]] = defaultdict(list)
    for one in recordings:
        groups[one.word, one.speaker].append(one)
    splits = {}
    for (_, speaker), group in groups.items():
        group.sort(key=lambda one: one.number)
        judged = 0 if left_out else -int(-EVAL_SHARE * len(group) // 1)
        watched = judged - int(-TUNE_SHARE * len(group) // 1)
        for rank, one in enumerate(group):
            split = "eval" if rank < judged else "tune" if rank < watched else "train"
            splits[one.name] = "eval" if speaker == left_out else split
    return splits


def _by_speaker(recordings: Sequence[Recording], speakers: list[str], left_out: str) -> dict[str, str]:
    if len(speakers) < len(SPLITS):
        raise ProjectError(
            f"speech_commands: {len(speakers)} speakers; expected three or more, one for each split."
        )
    judged = max(1, round(EVAL_SPEAKERS * len(speakers)))
    watched = judged + max(1, round(TUNE_SPEAKERS * len(speakers)))
    of = {
        name: "eval" if i < judged else "tune" if i < watched else "train" for i, name in enumerate(speakers)
    }
    if left_out:
        of = {name: "train" if split == "eval" else split for name, split in of.items()} | {left_out: "eval"}
    return {one.name: of[one.speaker] for one in recordings}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
