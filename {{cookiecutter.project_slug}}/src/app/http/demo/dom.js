// Finds and makes elements; whatever is put into them is text.

/** @param {string} id */
export const byId = (id) => document.getElementById(id);

/**
 * Make an element. Strings among the children become text, never markup.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node | string)} children
 */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** What people call somebody. */
export const nameOf = ({ id, name }) => name || id;

/** A round sign for somebody, with a colour that stays the same everywhere. */
export function avatar(member) {
  const words = nameOf(member).match(/[\p{L}\p{N}]+/gu) ?? ["?"];
  const initials = words.slice(0, 2).map((word) => [...word][0].toUpperCase());
  const made = element("span", { className: "avatar", ariaHidden: "true" }, ...initials);
  const sum = [...member.id].reduce((hash, letter) => (hash * 31 + letter.codePointAt(0)) >>> 0, 7);
  made.style.setProperty("--hue", sum % 360);
  return made;
}

/** @param {Date} moment */
export function clock(moment, options = { timeStyle: "short" }) {
  return element(
    "time",
    { dateTime: moment.toISOString(), title: moment.toLocaleString() },
    moment.toLocaleTimeString([], options),
  );
}
