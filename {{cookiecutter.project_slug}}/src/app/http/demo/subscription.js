// One channel as this client sees it: each message once and in order, and who is there.

const PASSED_ON = ["signal", "join", "leave", "lag", "presence"];

/**
 * What `client.subscribe` gives. Events, with their data in `detail`:
 * - `subscribed` `{first, recovered?, reason?, epoch?, offset?, missed}`: where the channel stands
 *   is known (again). `recovered: false` says that continuity was lost, and `reason` why; `missed`
 *   counts the messages that follow at once; `first` is true the first time.
 * - `message`, `signal`, `join`, `leave`, `lag`: as the protocol has them.
 * - `presence`: where it was asked for, after joins and leaves were missed, as by a `lag`: `members`
 *   and `count` are true again.
 * - `ended` `{code, message}`: the server refused or ended the subscription.
 */
export class Subscription extends EventTarget {
  /** @type {"subscribing" | "subscribed" | "ended"} */
  state = "subscribing";
  /** Up to where messages were processed. @type {{epoch: string, offset: number} | null} */
  position = null;
  /**
   * Who is here by user id, if `presence` was asked for.
   * @type {Map<string, {id: string, name?: string}>}
   */
  members = new Map();
  /** How many are here, which may be more than `members` has. */
  count = 0;
  #first = true;

  /**
   * @param {string} channel
   * @param {{last?: number, presence?: boolean}} [options] how many messages to begin with
   */
  constructor(channel, { last = 0, presence = false } = {}) {
    super();
    this.channel = channel;
    this.last = last;
    this.presence = presence;
  }

  /** The command that joins the channel, from where this client has read to. */
  get command() {
    const { channel, last, presence, position: since } = this;
    return { type: "subscribe", channel, last, presence, ...(since && { since }) };
  }

  /** Take a reply or a push of this channel. */
  receive(message) {
    if (message.type === "subscribed") return this.#stand(message);
    if (this.state !== "subscribed") return; // meant for an earlier subscription
    if (message.type === "message") return this.#accept(message);
    if (!PASSED_ON.includes(message.type)) return;
    if (message.type === "join") this.members.set(message.user.id, message.user);
    if (message.type === "leave") this.members.delete(message.user.id);
    if (message.type === "presence") this.#meet(message);
    this.count = message.count ?? this.count;
    this.#tell(message.type, message);
  }

  /** The connection is gone: what comes is not ours until we have joined again. */
  lose() {
    if (this.state === "subscribed") this.state = "subscribing";
  }

  /** Nothing comes any more; `why` is missing where this client wanted it so. */
  end(why) {
    this.state = "ended";
    if (why) this.#tell("ended", why);
  }

  /** Take the reply to `subscribe`, or the push that restates it after continuity was lost. */
  #stand({ epoch, offset, recovered, reason, messages = [], presence }) {
    const missed = messages.filter((message) => !this.#processed(message)).length;
    const first = this.#first;
    this.#first = false;
    this.state = "subscribed";
    if (presence) this.#meet(presence);
    this.#tell("subscribed", { first, recovered, reason, epoch, offset, missed });
    messages.forEach((message) => this.#accept(message));
    if (offset !== undefined) this.position = { epoch, offset };
  }

  #meet({ users, count }) {
    this.members = new Map(users.map((user) => [user.id, user]));
    this.count = count;
  }

  #accept(message) {
    if (this.state !== "subscribed" || this.#processed(message)) return;
    this.#tell("message", message);
    const { epoch, offset } = message;
    if (offset !== undefined) this.position = { epoch, offset };
  }

  /** A message that is not kept has no offset, and is always new. */
  #processed({ epoch, offset }) {
    return offset !== undefined && this.position?.epoch === epoch && offset <= this.position.offset;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
