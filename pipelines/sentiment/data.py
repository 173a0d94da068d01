"""Where sentences come from: the official file, or made-up ones with the same statistics.

`sample` builds sentences as people wrote them: an opinion on a film or a book, short or with a story around it,
with intensifiers, now and then a negation or a contrasting clause, shouting, typing errors and careless punctuation.
As in the real file, half of the lines have eight words or fewer, one in ten more than twenty, 56 % are positive, and
about one sentence in five occurs once while a few are repeated dozens of times.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from pipelines.base.errors import ProjectError
from pipelines.sentiment.project import PROJECT
from pipelines.sentiment.rows import read_lines

FILE = "sentiment.txt"
OFFICIAL_LINES = 5_000
POSITIVE_RATE = 0.56
DISTINCT = 0.3
# Of all sentences, those that change their mind midway, and those that say "not bad". In the real file one text in
# twenty is not decided by its words, and pairs of words decide hardly more: so it is here.
CONTRAST, NEGATED = 0.03, 0.04

WORKS = (
    "silver harbour|the glass orchard|north of nowhere|captain meridian|the last lighthouse|paper tigers 2"
)
OPINIONS = {
    1: {
        "verb": "love|loved|like|liked|enjoyed|adore|really like|can't stop watching|am a big fan of",
        "adjective": "awesome|great|beautiful|amazing|brilliant|good|excellent|really good|so much fun|touching",
        "not": "not bad|not boring at all|never dull",
    },
    0: {
        "verb": "hate|hated|dislike|despise|detest|can't stand|am so sick of|loathed",
        "adjective": "terrible|horrible|boring|stupid|awful|depressing|bad|a waste of time|so lame|crap",
        "not": "not good|not worth the money|never interesting",
    },
}
BEFORE = (
    "yeah,|ok,|honestly|oh, and|i think|anyway,|my sister says|as i said before,|well|seriously,|friday -|btw"
)
AFTER = (
    "and we went home late|which i saw on tuesday with my brother|because of the ending|so there|by the way|"
    "and then it rained the whole evening so we stayed for another coffee|as everybody in my class knows|"
    "even though the tickets were hard to get and the seats were right behind a pillar|if you ask me|lol"
)
ENDS = ".|.|..|...|!|!!|| :)|!!!|, just saying."


def fetch(folder: Path) -> None:
    """Downloads the official file to `folder`; raises ProjectError with the other way."""
    target = folder / FILE
    try:
        with urllib.request.urlopen(PROJECT.data.url, timeout=60) as response:
            target.write_bytes(response.read())
    except (urllib.error.URLError, OSError) as error:
        raise ProjectError(
            f"{PROJECT.name}: {PROJECT.data.url} cannot be fetched: {error}. Download it by other means and pass it: "
            f"viaduct run {PROJECT.name} --profile full --data PATH/TO/{FILE}."
        ) from error
    lines = len(read_lines(target))
    if lines < OFFICIAL_LINES:
        raise ProjectError(
            f"{PROJECT.data.url} gave {lines:,} sentences; expected over {OFFICIAL_LINES:,}. Has the file moved?"
        )


def sample(folder: Path, rows: int, seed: int) -> None:
    """Writes `rows` made-up sentences to sentiment.txt; same seed, same bytes."""
    random = np.random.default_rng(seed)
    distinct = []
    for _ in range(max(2, round(rows * DISTINCT))):
        label = int(random.random() < POSITIVE_RATE)
        distinct.append(f"{label}\t{_sentence(random, label)}")
    # Popular sentences are repeated far more often than the rest.
    weight = 1.0 / (np.arange(len(distinct)) + 3.0)
    chosen = random.choice(len(distinct), rows, p=weight / weight.sum())
    chosen[: min(rows, len(distinct) // 2)] = np.arange(len(distinct))[: min(rows, len(distinct) // 2)]
    lines = [distinct[i] for i in random.permutation(chosen)]
    (folder / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pick(random: np.random.Generator, options: str) -> str:
    choices = options.split("|")
    return choices[random.integers(len(choices))]


def _opinion(random: np.random.Generator, label: int) -> str:
    words, work, form = OPINIONS[label], _pick(random, WORKS), random.random()
    verb, adjective = _pick(random, words["verb"]), _pick(random, words["adjective"])
    if form < 0.4:
        return f"i {verb} {work}"
    if form < 0.4 + NEGATED:
        return f"{work} {_pick(random, 'was|is')} {_pick(random, words['not'])}"
    if form < 0.6:
        return f"i {verb} {work}, it {_pick(random, 'was|is')} {adjective}"
    if form < 0.7:
        return f"what {_pick(random, 'a|an absolutely')} {adjective} film {work} {_pick(random, 'was|is')}"
    return f"{work} {_pick(random, 'was|is|is just|was really|is such')} {adjective}"


def _sentence(random: np.random.Generator, label: int) -> str:
    text = _opinion(random, label)
    if random.random() < CONTRAST:
        # The writer's verdict is the second clause; the first holds words of the other side.
        text = f"{_opinion(random, 1 - label)} at first but {_pick(random, 'now|in the end|honestly')} {text}"
    if random.random() < 0.35:
        text = f"{_pick(random, BEFORE)} {text}"
    while random.random() < 0.38:
        text = f"{text} {_pick(random, AFTER)}"
    if random.random() < 0.06:
        place = random.integers(len(text))
        text = text[:place] + text[place + 1 :]
    style = random.random()
    text = text.upper() if style < 0.07 else text[0].upper() + text[1:] if style < 0.6 else text
    return text + _pick(random, ENDS)
