// Has the service keep a token in a cookie, which the browser shows and no script can read.

import { post } from "../sign_in.js";
import { TokenAuthentication } from "../token.js";

export class Authentication extends TokenAuthentication {
  /**
   * All tabs of a browser have one cookie, and so one user. What gets the next one is kept by the
   * page: of scripts, its policy lets only its own run.
   */
  constructor(signIn) {
    signIn.storage = localStorage;
    signIn.hand = async (token) => {
      await post("/auth/session", token);
      return null; // no script is to read it later
    };
    super(signIn);
  }

  /** A connection ends with the cookie that it was opened with. */
  async show() {
    return "elsewhere";
  }
}
