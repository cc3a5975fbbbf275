// Sends a token as the first message of every connection.

import { TokenAuthentication } from "../token.js";

export class Authentication extends TokenAuthentication {
  greet(connection) {
    return connection.request({ type: "auth", token: this.token });
  }
}
