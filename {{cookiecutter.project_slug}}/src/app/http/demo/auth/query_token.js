// Puts a token into the URL of every connection.

import { TokenAuthentication } from "../token.js";

export class Authentication extends TokenAuthentication {
  async open(url) {
    await super.open(url);
    url.searchParams.set("token", this.token);
    return url;
  }
}
