// The page's texts in the visitor's language: `fwTexts.text(key, values)` for scripts; HTML marked by `ui.texts` is
// translated wherever it appears. The language is the one Gradio chose; without Gradio it is the browser's.
window.fwTexts = (() => {
  const all = () => window.fwAllTexts ?? window.gradio_config?.i18n_translations ?? {};

  function language() {
    const asked = (window.fwAllTexts ? navigator.language : document.documentElement.lang) || "en";
    return Object.keys(all()).find((known) => asked.toLowerCase().split("-")[0] === known) ?? "en";
  }

  /** A text with its {name}s replaced by values, unescaped. */
  function text(key, values = {}) {
    const template = all()[language()]?.[key] ?? all().en?.[key] ?? key;
    return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  const sentences = (parts) => parts.map((part, i) => (/[.。]$/.test(part) || i === parts.length - 1 ? part : `${part}.`)).join(" ");

  const done = new WeakMap(); // maps an element to its current content and text key
  function translate(element) {
    const { fwText: key, fwValues: values = "{}", fwAttributes: names } = element.dataset;
    if (key) {
      const wanted = text(key, JSON.parse(values)); // already escaped by the server
      const last = done.get(element);
      if (last?.wanted !== wanted || last.html !== element.innerHTML) {
        element.innerHTML = wanted;
        done.set(element, { wanted, html: element.innerHTML });
      }
    }
    for (const [name, keys] of Object.entries(JSON.parse(names ?? "{}"))) {
      const wanted = sentences(keys.map((part) => (part.startsWith("=") ? part.slice(1) : text(part))));
      if (element.getAttribute(name) !== wanted) element.setAttribute(name, wanted);
    }
  }
  const MARKED = "[data-fw-text], [data-fw-attributes]";
  let other = false; // the HTML is already in English
  function look(node) {
    const element = node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement;
    const around = element?.closest(MARKED);
    if (around) translate(around);
    element?.querySelectorAll(MARKED).forEach(translate);
  }
  new MutationObserver((changes) => {
    const before = other;
    other ||= language() !== "en";
    if (!other) return;
    if (!before || changes.some(({ target, attributeName }) => attributeName === "lang" && target === document.documentElement)) {
      look(document.documentElement);
      return;
    }
    for (const { target, addedNodes } of changes) [target, ...addedNodes].forEach(look);
  }).observe(document.documentElement, {
    subtree: true, childList: true, characterData: true, attributes: true,
    attributeFilter: ["lang", "data-fw-text", "data-fw-values", "data-fw-attributes"],
  });
  return { text, language };
})();
