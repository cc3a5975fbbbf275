// Signs in a made-up user where development lets anybody be anybody; else a token is pasted.

import { randomKey } from "../client.js";
import { askForToken } from "../dialog.js";
import { madeUpName, passwordForm, refusal, send, SignIn } from "../sign_in.js";

export const openSignIn = () => new DevelopmentSignIn(askForToken);

export class DevelopmentSignIn extends SignIn {
  async signIn() {
    const { username = madeUpName(), password = randomKey() } = this.stored;
    this.store({ username, password });
    const answer = await send("/auth/token", passwordForm(username, password));
    if (answer.ok) await this.keep(await answer.json());
    else if (answer.status === 403 || answer.status === 404) await this.paste();
    else throw refusal(answer);
  }
}
