// The account on the page: the form that asks for one, and the way out of it.

import { openDialog } from "./dialog.js";
import { byId, element, nameOf } from "./dom.js";
import { log } from "./status.js";

/** Ask who this is until one of the attempts is good. */
export function askForAccount({ registration, made_up }, why, attempt) {
  const name = field("Name", { id: "username", autocomplete: "username", maxLength: 64 });
  const hidden = { type: "password", autocomplete: "current-password" };
  const password = field("Password", { id: "password", ...hidden });
  const button = (text, value) => element("button", { value }, text);
  const buttons = element("div", { className: "row" }, button("Sign in", "/auth/token"));
  const wrong = element("p", { className: "problem", role: "alert" });
  if (registration) buttons.append(button("Create account", "/auth/register"));
  if (made_up) buttons.append(element("button", { formNoValidate: true }, "Make up a name"));
  const parts = [element("p", {}, why), ...name, ...password, wrong, buttons];
  const { form, close } = openDialog("Sign in", ...parts);
  const said = () => [name, password].map(([, input]) => input.value);
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      for (const each of buttons.children) each.disabled = true;
      wrong.textContent = "";
      wrong.textContent = await problem(() => attempt(event.submitter.value, ...said()));
      for (const each of buttons.children) each.disabled = false;
      if (wrong.textContent) return;
      close();
      resolve();
    };
  });
}

/** Show who is signed in, and let them out; the page begins anew for whoever comes then. */
export function showAccount(client, signIn) {
  const name = element("strong");
  const hint = element("p", { className: "hint" });
  const out = element("button", { type: "button" }, "Sign out");
  out.onclick = async () => {
    try {
      await signIn.signOut();
      location.reload();
    } catch (error) {
      log(`Not signed out: ${error.message}`, "bad");
    }
  };
  const title = element("h2", { id: "account-title" }, "Account");
  const who = element("p", { className: "narrow" }, name); // else the bar at the top says it
  const section = element("section", {}, title, who, hint, out);
  section.setAttribute("aria-labelledby", title.id);
  byId("people-title").parentElement.before(section);

  let before = null;
  client.addEventListener("state", ({ detail }) => {
    if (detail.state !== "connected") return;
    const { user } = client.welcome;
    if (before && before !== user.id) location.reload(); // all that is here is another user's
    before = user.id;
    name.textContent = nameOf(user);
    hint.textContent = signIn.madeUp ? "This name was made up. Sign out to choose your own." : "";
  });
}

function field(text, properties) {
  const input = element("input", { required: true, ...properties });
  input.name = input.id;
  return [element("label", { htmlFor: input.id }, text), input];
}

/** What is wrong with an attempt, in words. */
async function problem(attempt) {
  try {
    const answer = await attempt();
    if (!answer) return "";
    if (answer.status === 401) return "The name or the password is wrong.";
    if (answer.status === 403) return "Nobody can create an account here.";
    if (answer.status === 409) return "This name is taken.";
    if (answer.status === 422) return whatIsWrong(await answer.json());
    const wait = answer.headers.get("Retry-After");
    if (answer.status === 429) return `Too many attempts: try again in ${wait ?? "some"} s.`;
  } catch (error) {
    return `This did not work (${error.message}); try again.`;
  }
  return "This did not work; try again.";
}

const whatIsWrong = ({ field, message }) => (field ? `${field}: ${message}` : message);
