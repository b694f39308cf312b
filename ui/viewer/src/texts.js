// The texts of the surrounding page in the visitor's language, from `assets/texts.js`.
export const text = (key, values) => window.fwTexts.text(key, values);
