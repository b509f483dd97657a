// Elements from data. Text is always text: nothing here takes HTML.

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "className", "htmlFor"]);

/** An element: `h("a", {href: "…", onclick: go}, "text", child)`; null, undefined and false are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  append(element, children);
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (PROPERTIES.has(name)) element[name] = value;
  else element.setAttribute(name, value === true ? "" : value);
}

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Replaces what is in `element`. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * A part of a page that is drawn anew only when its data has changed, so that focus, selection and scroll stay.
 * `draw(data)` gives the children of `element`.
 */
export function part(element, draw) {
  let shown;
  return {
    element,
    update(data) {
      const key = JSON.stringify(data);
      if (key === shown) return;
      shown = key;
      fill(element, draw(data));
    },
  };
}
