// From text to word numbers, exactly as features.py does it in the graph. No page and no model is needed here.
"use strict";

const Tokens = {
  // The rules of `settings` (made from features.py at export) as regular expressions.
  compile(settings) {
    const codePoints = (text) => text.replace(/\\x\{/g, "\\u{");
    return {
      ...settings,
      apostrophe: new RegExp(codePoints(settings.apostrophes), "gu"),
      separator: new RegExp(`[^${codePoints(settings.word_ranges)}]+`, "u"),
      numbers: new Map(settings.words.map((word, place) => [word, place + settings.first_word])),
    };
  },

  // The words of `text`. Only A-Z are lowered: other letters' cases differ between Unicode's versions.
  split(text, rules) {
    return text
      .replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
      .replace(rules.apostrophe, "'")
      .split(rules.separator)
      .filter((word) => word !== "");
  },

  // The numbers of the last `length` words, filled up in front.
  number(words, rules) {
    const known = words.slice(-rules.length).map((word) => rules.numbers.get(word) ?? rules.unknown);
    return [...new Array(rules.length - known.length).fill(rules.fill), ...known];
  },
};

if (typeof module !== "undefined") module.exports = Tokens;
else globalThis.Tokens = Tokens;
