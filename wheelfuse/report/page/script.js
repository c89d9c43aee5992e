// What makes the report easier to use. Without it all is there but the symbols one by one.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const data = (id) => JSON.parse(document.getElementById(id).textContent);
  const SVG = "http://www.w3.org/2000/svg";

  /** An element with attributes and children; texts become text nodes, so that nothing in them is markup. */
  function make(name, attributes = {}, ...children) {
    const element = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function glyph(name) {
    return make("svg:svg", { class: `glyph is-${name}`, "aria-hidden": "true" }, make("svg:use", { href: `#glyph-${name}` }));
  }

  function say(text) {
    one("#said").textContent = text;
  }

  function size(bytes) {
    let value = bytes;
    for (const unit of ["B", "KiB", "MiB"]) {
      if (value < 1024) return unit === "B" ? `${value} B` : `${value.toFixed(1)} ${unit}`;
      value /= 1024;
    }
    return `${value.toFixed(1)} GiB`;
  }

  const number = (value) => value.toLocaleString("en");

  // --- theme ---

  const themeButton = one("#theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
  }

  function showTheme() {
    themeButton.setAttribute("aria-pressed", String(isDark()));
  }

  /** Storage is denied to some files and frames; the choice then lasts as long as the page. */
  function stored(value) {
    try {
      if (value) localStorage.setItem("wheelfuse-theme", value);
      return localStorage.getItem("wheelfuse-theme");
    } catch {
      return null;
    }
  }

  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored(root.dataset.theme);
    showTheme();
  });
  prefersDark.addEventListener("change", showTheme);
  const chosen = stored();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  showTheme();

  // --- copying ---

  async function copy(button) {
    const source = one("pre", button.parentElement);
    const text = source.textContent.trimEnd();
    try {
      await navigator.clipboard.writeText(text);
      button.firstChild.textContent = "Copied";
      say("Copied");
    } catch {
      getSelection().selectAllChildren(source);
      button.firstChild.textContent = "Selected";
      say("Selected; copy it with the keyboard");
    }
    setTimeout(() => { button.firstChild.textContent = "Copy"; }, 2000);
  }

  for (const button of all(".copy")) button.addEventListener("click", () => copy(button));

  // --- findings ---

  const list = one("#cards");
  if (list) {
    const cards = all(".card", list);
    const texts = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));
    const order = new Map(cards.map((card, at) => [card, at]));
    const boxes = all("#findings input[data-severity]");
    const rule = one("#finding-rule");
    const text = one("#finding-text");
    const sort = one("#finding-sort");

    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    const orders = {
      severity: () => 0,
      rule: (a, b) => compare(a.dataset.rule, b.dataset.rule),
      path: (a, b) => compare(a.dataset.path, b.dataset.path),
      count: (a, b) => b.dataset.count - a.dataset.count,
    };

    function filter() {
      const severities = new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.severity));
      const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      let every = 0;
      for (const card of cards) {
        const fits = severities.has(card.dataset.severity) && (!rule.value || rule.value === card.dataset.rule)
          && wanted.every((word) => texts.get(card).includes(word));
        card.hidden = !fits;
        every += Number(card.dataset.count);
        if (fits) shown += Number(card.dataset.count);
      }
      one("#no-finding").hidden = shown > 0;
      one("#finding-count").textContent = `${shown === every ? "" : `${number(shown)} of `}${number(every)} finding${every === 1 ? "" : "s"}`;
    }

    function arrange() {
      list.append(...cards.sort((a, b) => orders[sort.value](a, b) || order.get(a) - order.get(b)));
    }

    for (const box of boxes) box.addEventListener("change", filter);
    rule.addEventListener("change", filter);
    text.addEventListener("input", filter);
    sort.addEventListener("change", arrange);
    filter();

    for (const link of all(".counts a[data-severity]")) {
      link.addEventListener("click", () => {
        for (const box of boxes) box.checked = box.dataset.severity === link.dataset.severity;
        filter();
      });
    }

    // The explanation of the rule, in the finding itself.
    for (const link of all("a[data-explain]")) {
      link.setAttribute("aria-expanded", "false");
      link.setAttribute("role", "button");
      const toggle = (event) => {
        const explanation = one(`[id="rule-${link.dataset.explain}"] .prose`);
        if (!explanation) return;
        event.preventDefault();
        const body = link.closest(".body");
        const there = one(".explained", body);
        if (there) there.remove();
        else {
          const copied = explanation.cloneNode(true);
          copied.classList.add("explained");
          body.append(copied);
        }
        link.setAttribute("aria-expanded", String(!there));
      };
      link.addEventListener("click", toggle);
      link.addEventListener("keydown", (event) => { if (event.key === " ") toggle(event); });
    }
  }

  /** Opens what the address names, whatever hides it, and marks it. */
  function find() {
    let id = "";
    try {
      id = decodeURIComponent(location.hash.slice(1));
    } catch { /* no address of this page */ }
    const target = id && document.getElementById(id);
    if (!target) return;
    for (const card of all(".card.found")) card.classList.remove("found");
    if (target.matches(".card")) {
      target.hidden = false;
      target.classList.add("found");
      one("details", target).open = true;
    }
    for (let at = target; at; at = at.parentElement) if (at.matches("details")) at.open = true;
    target.scrollIntoView({ block: "start" });
    target.focus({ preventScroll: true });
  }

  addEventListener("hashchange", find);
  find();

  // --- tables of which a page is shown at a time ---

  const PAGE = 50;
  const STATES = [["loads", "good"], ["fails", "bad"], ["partly", "partly"], ["unproved", "not known"]];

  /** How a row of each kind of table is drawn: its cells. *get* gives the text in a column of the row. */
  const ROWS = {
    symbols(get) {
      const [name, shown] = [get(0), get(1)];
      const head = make("th", { scope: "row" }, make("code", {}, shown || name));
      if (shown) head.append(make("code", { class: "mangled" }, name));
      const [sign, word] = STATES[get.raw(4)];
      const note = [get(5), get(6) && `use ${get(6)}`].filter(Boolean).join("; ");
      return [head, make("td", { class: "nowrap" }, glyph(sign), ` ${word}`), make("td", {}, get(2)),
        make("td", {}, get(3)), make("td", {}, note)];
    },
    members(get) {
      const head = make("th", { scope: "row" }, make("code", {}, get(0)));
      if (get(3)) head.append(" ", make("span", { class: "muted" }, `was ${get(3)}`));
      return [head, make("td", { class: "right nowrap" }, size(get.raw(1))), make("td", {}, get(2)), make("td", {}, get(4))];
    },
  };
  /** Columns that hold numbers, not texts; columns that a search looks into; the word for a row. */
  const KINDS = {
    symbols: { numbers: new Set([4]), searched: [0, 1], word: "symbols" },
    members: { numbers: new Set([1]), searched: [0, 3], word: "members" },
  };

  function startTable(block) {
    const { texts, columns, choices } = data(block.dataset.paged);
    const kind = KINDS[block.dataset.kind];
    const lower = texts.map((text) => text.toLowerCase());
    const choice = one("[data-choice]", block);
    const search = one("[data-search]", block);
    const filters = all("[data-filter]", block);
    const state = one("[data-state]", block);
    const heads = all("th[data-sort]", block);
    const body = one("tbody", block);
    const [back, on] = [one("[data-back]", block), one("[data-on]", block)];
    let rows = [];
    let first = 0;
    let sorted = null;

    /** The order of texts in each column is worked out once, when it is first asked for. */
    let ranks = null;
    function rank() {
      if (!ranks) {
        ranks = new Uint32Array(texts.length);
        [...texts.keys()].sort((a, b) => (lower[a] < lower[b] ? -1 : lower[a] > lower[b] ? 1 : 0))
          .forEach((text, at) => { ranks[text] = at; });
      }
      return ranks;
    }

    function options() {
      for (const select of filters) {
        const column = columns[Number(select.dataset.filter)] ?? [];
        const there = new Set((choices[Number(choice?.value ?? 0)] ?? []).map((row) => column[row]));
        const kept = select.value;
        select.replaceChildren(one("option", select), ...[...there].sort((a, b) => rank()[a] - rank()[b])
          .map((text) => make("option", { value: String(text) }, texts[text] || "(none)")));
        select.value = there.has(Number(kept)) ? kept : "";
      }
    }

    function select() {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const only = filters.filter((one) => one.value).map((one) => [columns[Number(one.dataset.filter)], Number(one.value)]);
      const bad = state?.value === "not";
      rows = (choices[Number(choice?.value ?? 0)] ?? []).filter((row) =>
        only.every(([column, value]) => column[row] === value) && !(bad && columns[4][row] === 0)
        && wanted.every((word) => kind.searched.some((column) => lower[columns[column][row]].includes(word))));
      if (sorted) {
        const [column, sign] = sorted;
        const values = columns[column];
        const key = kind.numbers.has(column) ? (row) => values[row] : (row) => rank()[values[row]];
        rows.sort((a, b) => sign * (key(a) - key(b)));
      }
      first = 0;
      draw();
    }

    function draw() {
      const shown = rows.slice(first, first + PAGE);
      body.replaceChildren(...shown.map((row) => {
        const get = (column) => texts[columns[column][row]];
        get.raw = (column) => columns[column][row];
        return make("tr", {}, ...ROWS[block.dataset.kind](get));
      }));
      one("[data-shown]", block).textContent = rows.length
        ? `${number(first + 1)} to ${number(first + shown.length)} of ${number(rows.length)} ${kind.word}`
        : `no ${kind.word} match`;
      back.disabled = first === 0;
      on.disabled = first + PAGE >= rows.length;
    }

    for (const head of heads) {
      const button = make("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const column = Number(head.dataset.sort);
        const falls = sorted && sorted[0] === column && sorted[1] === 1;
        sorted = [column, falls ? -1 : 1];
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", falls ? "descending" : "ascending");
        select();
      });
    }
    const turn = (pages) => {
      first += pages * PAGE;
      draw();
      one("table", block).scrollIntoView({ block: "nearest" });
    };
    back.addEventListener("click", () => turn(-1));
    on.addEventListener("click", () => turn(1));
    choice?.addEventListener("change", () => { options(); select(); });
    for (const control of [search, ...filters, state].filter(Boolean)) control.addEventListener("input", select);
    options();
    select();
  }

  // Their data is read when they come near.
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        near.unobserve(target);
        startTable(target);
      }
    }
  }, { rootMargin: "800px" });
  for (const block of all(".paged")) {
    block.hidden = false;
    near.observe(block);
  }

  // Only what can be scrolled is a stop of the keyboard.
  const fitting = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const block of all(".scroll")) fitting.observe(block);

  // --- the map of a wheel ---

  const KINDS_OF_BYTES = ["module", "library", "device_code", "debug", "python", "data"];
  const tip = one("#tip");
  const trees = all(".map").length ? data("map-data") : [];

  function showTip(text, x, y) {
    tip.textContent = text;
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - width - 8))}px`;
    tip.style.top = `${y + height + 20 > innerHeight ? Math.max(4, y - height - 10) : y + 14}px`;
  }

  function startMap(figure) {
    const tree = trees[Number(figure.dataset.map)];
    const drawing = one(".treemap", figure);
    const crumbs = one(".crumbs", figure);
    const { width: wide, height: high } = drawing.viewBox.baseVal;
    let at = 0;

    const above = (node) => (tree.parents[node] < 0 ? [node] : [...above(tree.parents[node]), node]);
    const path = (node) => above(node).slice(1).map((one) => tree.names[one]).join("/");
    const share = (node) => {
      const percent = (100 * tree.sizes[node]) / tree.sizes[0];
      return percent < 0.1 ? "less than 0.1 %" : `${percent.toFixed(1)} %`;
    };
    const told = (node) => [path(node), `${size(tree.sizes[node])} installed, ${share(node)}; ${size(tree.packed[node])} in the wheel`,
      tree.notes[node], tree.views[node] && "Enter or click: look into it"].filter(Boolean).join("\n");

    function box([node, x, y, width, height, opened], stretchX, stretchY) {
      const sides = { x: x * stretchX, y: y * stretchY, width: width * stretchX, height: height * stretchY };
      const kind = KINDS_OF_BYTES[tree.stuff[node]];
      const drawn = make("svg:svg", { ...sides, "data-node": node, tabindex: "-1", role: tree.views[node] ? "button" : "img",
        "aria-label": told(node).replaceAll("\n", ", ") },
      make("svg:rect", { class: `box ${opened ? "folder" : `stuff-${kind}`}`, width: "100%", height: "100%" }));
      if (tree.views[node]) drawn.dataset.zoom = "";
      if (sides.width > 34 && sides.height > 15) drawn.append(make("svg:text", { x: 5, y: 14, "aria-hidden": "true" }, tree.names[node]));
      return drawn;
    }

    function draw() {
      const width = figure.clientWidth;
      if (!width) return;
      const height = Math.max(420, Math.min(580, width * 0.46));
      drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
      drawing.setAttribute("role", "group");
      drawing.replaceChildren(...tree.views[at].map((shown) => box(shown, width / wide, height / high)));
      one("[data-node]", drawing)?.setAttribute("tabindex", "0");
      crumbs.replaceChildren(...above(at).map((node) => {
        const label = `${tree.names[node]} `;
        const bytes = make("span", { class: "number" }, size(tree.sizes[node]));
        if (node === at) return make("li", { "aria-current": "true" }, label, bytes);
        const button = make("button", { type: "button" }, tree.names[node]);
        button.addEventListener("click", () => zoom(node, true));
        return make("li", {}, button);
      }));
    }

    function zoom(node, focus) {
      if (!tree.views[node]) return;
      const from = at;
      at = node;
      tip.hidden = true;
      draw();
      say(`${path(at) || tree.names[0]}: ${size(tree.sizes[at])}`);
      if (focus) go(one(`[data-node="${from}"]`, drawing) ?? one("[data-node]", drawing));
    }

    function go(target) {
      if (!target) return;
      for (const other of all('[tabindex="0"]', drawing)) other.setAttribute("tabindex", "-1");
      target.setAttribute("tabindex", "0");
      target.focus();
    }

    /** The nearest box whose middle lies that way. */
    function neighbour(from, [dx, dy]) {
      const middle = (element) => {
        const { x, y, width, height } = element.getBoundingClientRect();
        return [x + width / 2, y + height / 2];
      };
      const [x, y] = middle(from);
      let [best, nearest] = [null, Infinity];
      for (const other of all("[data-node]", drawing)) {
        const [left, top] = middle(other).map((value, axis) => value - [x, y][axis]);
        const ahead = left * dx + top * dy;
        const distance = ahead + 2 * Math.abs(left * dy + top * dx);
        if (other !== from && ahead > 0.5 && distance < nearest) [best, nearest] = [other, distance];
      }
      return best;
    }

    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const node = (event) => event.target.closest("[data-node]");
    drawing.addEventListener("click", (event) => { if (node(event)) zoom(Number(node(event).dataset.node), true); });
    drawing.addEventListener("keydown", (event) => {
      const here = node(event);
      if (!here) return;
      if (event.key === "Enter" || event.key === " ") zoom(Number(here.dataset.node), true);
      else if (event.key === "Escape" || event.key === "Backspace") { if (at) zoom(tree.parents[at], true); else tip.hidden = true; }
      else if (ways[event.key]) go(neighbour(here, ways[event.key]));
      else return;
      event.preventDefault();
    });
    drawing.addEventListener("pointermove", (event) => {
      if (node(event)) showTip(told(Number(node(event).dataset.node)), event.clientX, event.clientY);
      else tip.hidden = true;
    });
    drawing.addEventListener("pointerleave", () => { tip.hidden = true; });
    drawing.addEventListener("focusin", (event) => {
      if (!node(event)?.matches(":focus-visible")) return;
      const { left, bottom } = node(event).getBoundingClientRect();
      showTip(told(Number(node(event).dataset.node)), left, Math.min(bottom, innerHeight - 120));
    });
    drawing.addEventListener("focusout", () => { tip.hidden = true; });
    new ResizeObserver(draw).observe(figure);
    draw();
  }

  all(".map").forEach(startMap);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
})();
