// Gets a ticket over HTTP for every connection, which is good for one, and puts it into the URL.

import { post } from "../sign_in.js";
import { TokenAuthentication } from "../token.js";

export class Authentication extends TokenAuthentication {
  async open(url) {
    await super.open(url);
    url.searchParams.set("ticket", await this.proof());
    return url;
  }

  async proof() {
    const { ticket } = await post("/auth/ticket", this.token);
    return ticket;
  }
}
