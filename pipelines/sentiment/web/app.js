// Scores what is typed, in this page. The model comes from model.js; nothing is sent anywhere.
"use strict";

const EXAMPLES = [
  "The Da Vinci Code was a really good movie.",
  "Brokeback Mountain was boring and depressing.",
  "i heard it sucked so much, only 2.5 stars",
  "I absolutely loved Harry Potter, it is awesome!",
];

const element = (id) => document.getElementById(id);
let model = null;
let rules = null;
let waiting = false;

async function load() {
  const stored = globalThis.VIADUCT_MODEL;
  // The plain CPU kernels: this model is too small for a GPU to help, and some GPUs compute in half precision.
  await tf.setBackend("cpu");
  const bytes = Uint8Array.from(atob(stored.weights), (letter) => letter.charCodeAt(0));
  model = await tf.loadLayersModel(
    tf.io.fromMemory({
      modelTopology: stored.modelTopology,
      weightSpecs: stored.weightSpecs,
      weightData: bytes.buffer,
    }),
  );
  rules = Tokens.compile(stored.assets);
  // The first prediction compiles; nobody should wait for it while typing.
  scores([[]]);
}

// Scores of several lists of words at once, between 0 (negative) and 1 (positive).
function scores(lists) {
  return tf.tidy(() => {
    const rows = lists.map((words) => Tokens.number(words, rules));
    return Array.from(model.predict(tf.tensor2d(rows, [rows.length, rules.length])).dataSync());
  });
}

// What the score owes to each of the last words: the score with it less the score with an unknown word in its place.
function contributions(words) {
  const kept = words.slice(-rules.length);
  const without = kept.map((_, i) => kept.map((word, j) => (i === j ? "\u0000" : word)));
  const [whole, ...others] = scores([kept, ...without]);
  return { whole, parts: kept.map((word, i) => ({ word, weight: whole - others[i] })) };
}

function showVerdict(value) {
  const verdict = value >= 0.5 ? "positive" : "negative";
  const sure = Math.max(value, 1 - value);
  element("verdict").textContent = sure < 0.6 ? "hard to say" : verdict;
  element("verdict").dataset.mood = sure < 0.6 ? "" : verdict;
  element("number").textContent = value.toFixed(3);
  element("needle").style.left = `${value * 100}%`;
  element("meter").setAttribute("aria-valuenow", value.toFixed(3));
}

function showWords(parts, dropped) {
  const chips = parts.map(({ word, weight }) => {
    const chip = document.createElement("span");
    chip.className = "chip";
    chip.textContent = word;
    const known = rules.numbers.has(word);
    if (!known) chip.classList.add("unknown");
    chip.style.setProperty("--strength", `${Math.round(Math.min(1, Math.abs(weight) * 1.6) * 100)}%`);
    chip.dataset.mood = weight >= 0 ? "positive" : "negative";
    chip.title = `${known ? "" : "not in the vocabulary; "}moves the score by ${weight.toFixed(3)}`;
    return chip;
  });
  element("words").replaceChildren(...chips);
  element("dropped").hidden = dropped === 0;
  element("dropped").textContent = `Only the last ${rules.length} words count; ${dropped} before them do not.`;
}

function update() {
  waiting = false;
  const words = Tokens.split(element("text").value, rules);
  element("result").classList.toggle("empty", words.length === 0);
  if (words.length === 0) {
    element("words").replaceChildren();
    element("dropped").hidden = true;
    return;
  }
  const started = performance.now();
  const { whole, parts } = contributions(words);
  showVerdict(whole);
  showWords(parts, words.length - parts.length);
  element("time").textContent = `${Math.max(1, Math.round(performance.now() - started))} ms`;
}

function schedule() {
  if (waiting) return;
  waiting = true;
  setTimeout(update, 30);
}

async function start() {
  try {
    await load();
  } catch (error) {
    element("state").textContent = `The model could not be loaded: ${error.message}`;
    element("state").dataset.failed = "";
    return;
  }
  const parameters = model.countParams().toLocaleString("en");
  element("state").textContent = `${parameters} parameters, ${rules.words.length.toLocaleString("en")} words, in this page`;
  element("examples").replaceChildren(
    ...EXAMPLES.map((text) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.addEventListener("click", () => {
        element("text").value = text;
        element("text").focus();
        update();
      });
      return button;
    }),
  );
  element("text").disabled = false;
  element("text").addEventListener("input", schedule);
  element("text").focus();
  update();
  // For tests and the curious: many texts at once.
  globalThis.Sentiment = {
    scores: (texts) => scores(texts.map((text) => Tokens.split(text, rules))),
    tokens: (texts) => texts.map((text) => Tokens.number(Tokens.split(text, rules), rules)),
  };
}

start();
