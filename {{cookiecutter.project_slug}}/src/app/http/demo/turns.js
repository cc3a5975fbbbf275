// Turns of the tabs of a browser, each of which sees what was kept in those before it.

const LOCK = "turn";
const LATE_MS = 10_000;
let leave = () => {};

/**
 * Do this while no other tab does. What a tab stores reaches the others a moment later, so in its
 * turn it begins to hold a lock that says the number of the turn; whoever is next waits to see that
 * number stored, too. Where a browser has no locks, tabs do not wait for each other.
 */
export function inTurn(work) {
  return navigator.locks?.request(LOCK, () => turn(work)) ?? work();
}

async function turn(work) {
  const { held } = await navigator.locks.query();
  const numbers = held.map(({ name }) => Number(name.match(/^turn (\d+)$/)?.[1] ?? 0));
  const before = Math.max(0, ...numbers);
  const late = Date.now() + LATE_MS; // in vain if somebody cleared the storage
  while (seen() < before && Date.now() < late) await change();
  try {
    return await work();
  } finally {
    const number = Math.max(seen(), before) + 1;
    localStorage.setItem(LOCK, number);
    await hold(`${LOCK} ${number}`);
  }
}

const seen = () => Number(localStorage.getItem(LOCK));

const change = () =>
  new Promise((resolve) => {
    addEventListener("storage", resolve, { once: true });
    setTimeout(resolve, LATE_MS);
  });

/** Hold this lock, until there is another one to hold or the tab is gone. */
const hold = (name) =>
  new Promise((held) => {
    navigator.locks.request(name, () => {
      leave();
      held();
      return new Promise((resolve) => (leave = resolve));
    });
  });
