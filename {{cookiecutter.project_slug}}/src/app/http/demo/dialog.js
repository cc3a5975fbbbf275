// Asks people who they are, before anything else can be done.

import { element } from "./dom.js";

/** Let the user paste a token, where the service signs nobody in. */
export async function askForToken() {
  const token = element("textarea", { id: "token", rows: 5, required: true, spellcheck: false });
  token.autocomplete = "off";
  const { form, close } = openDialog(
    "Sign in with a token",
    element("p", {}, "Paste an access token of yours: this service signs nobody in by itself."),
    element("label", { htmlFor: "token" }, "Access token"),
    token,
    element("button", {}, "Connect"),
  );
  await new Promise((resolve) => (form.onsubmit = resolve));
  close();
  return token.value.trim();
}

/** A dialog that stays until it is closed here. */
export function openDialog(title, ...children) {
  const heading = element("h2", { id: "sign-in-title" }, title);
  const form = element("form", { method: "dialog" }, heading, ...children);
  const dialog = element("dialog", { id: "sign-in" }, form);
  dialog.setAttribute("aria-labelledby", heading.id);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  dialog.showModal();
  return { form, close: () => dialog.remove() };
}
