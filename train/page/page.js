"use strict";
// Searchable predictions. Everything that comes from data reaches the page as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const field = (name) => document.getElementById(name);
  const STEP = 25;
  let shown = STEP;

  const fill = (name, values, any) => {
    const select = field(name);
    if (any) select.append(new Option(any, ""));
    values.forEach((value, index) => select.append(new Option(value, any ? value : String(index))));
    select.addEventListener("change", draw);
  };

  const cell = (row, text, kind) => {
    const made = row.insertCell();
    made.textContent = text;
    if (kind) made.className = kind;
  };

  // One row a sentence and actor: [sentence, slot, gold, predicted, percent, holder, gold holder], labels by number.
  const label = (number) => (number < 0 ? "–" : data.labels[number]);
  const holder = (number) => (number < 0 ? "–" : data.holders[number]);

  const chosen = () => {
    const wanted = (name) => field(name).value;
    const words = wanted("search").toLocaleLowerCase().split(/\s+/).filter(Boolean);
    return data.runs[Number(wanted("run"))].rows.filter(([sentence, slot, gold, predicted]) =>
      (!wanted("slot") || data.slots[slot] === wanted("slot")) &&
      (!wanted("gold") || label(gold) === wanted("gold")) &&
      (!wanted("predicted") || label(predicted) === wanted("predicted")) &&
      (!wanted("outcome") || (gold === predicted) === (wanted("outcome") === "right")) &&
      (!wanted("phenomenon") || data.phenomena[sentence] === wanted("phenomenon")) &&
      words.every((word) => data.texts[sentence].toLocaleLowerCase().includes(word)));
  };

  function draw() {
    const rows = chosen();
    const body = document.querySelector("#predictions tbody");
    body.replaceChildren();
    for (const [sentence, slot, gold, predicted, percent, told, toldGold] of rows.slice(0, shown)) {
      const row = body.insertRow();
      cell(row, data.texts[sentence]);
      cell(row, data.slots[slot]);
      cell(row, label(gold));
      cell(row, label(predicted), gold === predicted ? "" : "wrong");
      cell(row, percent < 0 ? "–" : `${percent} %`);
      cell(row, told < 0 && toldGold < 0 ? "" : `${holder(told)} (${holder(toldGold)})`);
      cell(row, data.phenomena[sentence]);
    }
    const right = rows.filter(([, , gold, predicted]) => gold === predicted).length;
    field("count").textContent = `${rows.length} of ${data.runs[Number(field("run").value)].rows.length} answers, ${right} of them right` +
      (rows.length > shown ? `; the first ${shown} are shown` : "") + (data.note ? `. ${data.note}` : "");
    field("more").hidden = rows.length <= shown;
  }

  const again = () => { shown = STEP; draw(); };
  fill("run", data.runs.map((run) => run.name));
  fill("slot", data.slots, "any");
  fill("gold", data.labels, "any");
  fill("predicted", data.labels, "any");
  fill("phenomenon", [...new Set(data.phenomena)].filter(Boolean).sort(), "any");
  field("outcome").addEventListener("change", again);
  field("search").addEventListener("input", again);
  field("more").addEventListener("click", () => { shown += STEP; draw(); });
  draw();
})();
