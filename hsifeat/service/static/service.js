// Requests of the workbench to the service. While the service is away, they are repeated, so nothing is lost and the page goes on by itself.

const KEEPALIVE_BYTES = 50_000, PAUSE_MS = 1000, page = Math.random().toString(36).slice(2, 12);
const AWAY = "The service doesn't answer.";
const ANEW = "The service was started anew. Open the address that it printed in another tab; then this page goes on.";

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A text with a capital first letter, unless it begins with the name of a file.
export const capital = (text) => text.replace(/^[a-z]+(?=[ ,:])/, ([first, ...rest]) => [first.toUpperCase(), ...rest].join(""));

export async function problemOf(response) {
  try {
    return capital((await response.json()).detail);
  } catch {
    return `The service answered ${response.status}.`;
  }
}

// Statuses of a service that starts, ends or is overloaded, and of a proxy that can't reach it. Like a broken connection, they are an error here.
const TRANSIENT = [502, 503, 504];

async function request(address, options) {
  const response = await fetch(address, options);
  if (!TRANSIENT.includes(response.status)) return response;
  const reason = (await problemOf(response)).replace(/\.?$/, "."), pause = 1000 * Number(response.headers.get("Retry-After")) || PAUSE_MS;
  throw Object.assign(new Error(reason), { reason, pause });
}

export class Service {
  // `complain` shows a text until it is called with an empty one. `problem` says why the last refused change was refused.
  constructor(base, complain) {
    Object.assign(this, { base, complain, ticket: 0, running: {}, queue: Promise.resolve(), away: false, problem: "" });
  }

  // Ask for something that replaces an earlier request of the same kind. Gives null if it was replaced itself, which the service answers with 204.
  async ask(kind, path, values = {}) {
    this.stop(kind);
    const controller = this.running[kind] = new AbortController();
    this.ticket += 1;
    const query = new URLSearchParams({ ...values, page, number: this.ticket });
    while (!controller.signal.aborted) {
      try {
        const response = await request(`${this.base}/${path}?${query}`, { signal: controller.signal });
        // The answer is read here, so that a request whose connection ends is repeated, too.
        const content = await response.arrayBuffer();
        if (response.status !== 401) {
          this.back();
          if (response.status === 204) return null;
          if (response.ok) return new Response(content, { headers: response.headers });
          this.complain(await problemOf(new Response(content, { status: response.status })));
          return null;
        }
        await this.lost(ANEW);
      } catch (error) {
        if (controller.signal.aborted) return null;
        await this.lost(`${error.reason ?? AWAY} Your labels so far are saved; this page tries again.`, error.pause);
      }
    }
    return null;
  }

  stop(...kinds) {
    for (const kind of kinds) this.running[kind]?.abort();
  }

  // Change something. Changes are sent one after the other, and repeated until the service has saved them. Gives null if the service refuses.
  change(path, body) {
    this.queue = this.queue.then(() => this.send(path, body));
    return this.queue;
  }

  async send(path, body) {
    const form = body instanceof FormData, content = form ? body : JSON.stringify(body ?? null), headers = form ? {} : { "Content-Type": "application/json" };
    // A small request goes on when its page is closed.
    const keepalive = !form && content.length < KEEPALIVE_BYTES;
    // The service makes a change once, however often its ticket arrives.
    this.ticket += 1;
    const query = new URLSearchParams({ page, ticket: this.ticket });
    for (;;) {
      try {
        const response = await request(`${this.base}/${path}?${query}`, { method: "POST", body: body ? content : null, headers, keepalive });
        if (response.status !== 401) {
          this.back();
          if (response.ok) return await response.json();
          this.problem = await problemOf(response);
          this.complain(this.problem);
          return null;
        }
        await this.lost(`${ANEW} The last label is not saved yet.`);
      } catch (error) {
        await this.lost(`${error.reason ?? AWAY} The last label is not saved yet; trying again.`, error.pause);
      }
    }
  }

  // Say why there is no answer, and wait until the request is repeated.
  lost(text, pause = PAUSE_MS) {
    this.away = true;
    this.complain(text);
    return wait(pause);
  }

  back() {
    if (this.away) this.complain("");
    this.away = false;
  }
}
