// Everybody is a guest, and stays the same guest as long as the tab is open.

const STORED = "guest_token";

export class Authentication {
  /** What proves this guest over HTTP, as a Bearer token; null before the first welcome. */
  get token() {
    return sessionStorage.getItem(STORED);
  }

  async open(url) {
    return url;
  }

  /** The server welcomes everybody; whoever was here before then says who that was. */
  async authenticate(connection) {
    let welcome = await connection.welcome;
    if (this.token) welcome = await connection.request({ type: "auth", token: this.token });
    if (welcome.guest_token) sessionStorage.setItem(STORED, welcome.guest_token);
    return welcome;
  }

  /** Guests do not expire. */
  async refresh() {
    return null;
  }

  /** Come back as a new guest if the server no longer knows the earlier one, unless sent away. */
  refused(code) {
    if (code === 4504) return false;
    const earlier = this.token;
    sessionStorage.removeItem(STORED);
    return earlier !== null;
  }
}
