// The texts of the page that the viewer stands in, in the visitor's language; `assets/texts.js` holds them.
export const text = (key, values) => window.fwTexts.text(key, values);
