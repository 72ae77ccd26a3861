// Requests of the workbench to the service. While the service is away, they are repeated, so nothing is lost and the page goes on by itself.
// `Service` counts the changes that are not saved yet. The message about a lost service and the question before the page closes come from this count.

const KEEPALIVE_BYTES = 50_000, PAUSE_MS = 1000, page = Math.random().toString(36).slice(2, 12);
const AWAY = "The service doesn't answer.", LATE = "The service has not answered yet.", LATE_MS = 5000;
const SIGNED_OUT = "The service was started anew, or your token has expired. Open the address that the service printed, or sign in, in another tab; then this page goes on.";

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A message of the service as a sentence, like the Jinja filter `sentence`. A first word that may be a name is not capitalised.
export const sentence = (text) => text.replace(/^(a|all|an|each|no|only|the|there|these|this|too)(?= )/, ([first, ...rest]) => [first.toUpperCase(), ...rest].join("")).replace(/\.?$/, ".");

export async function problemOf(response) {
  try {
    return sentence((await response.json()).detail);
  } catch {
    return `The service answered ${response.status}.`;
  }
}

// Statuses of a service that starts, ends or is overloaded, and of a proxy that can't reach it. Like a broken connection, they are an error here.
const TRANSIENT = [502, 503, 504];

async function request(address, options) {
  const response = await fetch(address, options);
  if (!TRANSIENT.includes(response.status)) return response;
  const reason = await problemOf(response), pause = 1000 * Number(response.headers.get("Retry-After")) || PAUSE_MS;
  throw Object.assign(new Error(reason), { reason, pause });
}

export class Service {
  // `complain` shows why a change was refused, `warn` why there is no other answer, and `update` shows `status` anew. `away` says why the service does not answer,
  // `unsaved` is the number of changes that the service has neither saved nor refused, and `problem` says why the last refused change was refused.
  constructor(base, { complain, warn, update }) {
    Object.assign(this, { base, complain, warn, update, ticket: 0, running: {}, queue: Promise.resolve(), away: "", unsaved: 0, problem: "" });
    addEventListener("beforeunload", (event) => { if (this.unsaved) event.preventDefault(); });
  }

  // What a person must know while the service is away; otherwise empty.
  get status() {
    if (!this.away) return "";
    const saved = ["Your labels so far are saved", "Your last change is not saved yet"][this.unsaved] ?? `Your last ${this.unsaved} changes are not saved yet`;
    return `${this.away} ${saved}; this page keeps trying.`;
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
          // While changes wait to be repeated, only their own answers end the message.
          if (!this.unsaved) this.back();
          if (response.status === 204) return null;
          if (response.ok) return new Response(content, { headers: response.headers });
          this.warn(await problemOf(new Response(content, { status: response.status })));
          return null;
        }
        await this.lost(SIGNED_OUT);
      } catch (error) {
        if (controller.signal.aborted) return null;
        await this.lost(error.reason ?? AWAY, error.pause);
      }
    }
    return null;
  }

  stop(...kinds) {
    for (const kind of kinds) this.running[kind]?.abort();
  }

  // Change something. Changes are sent one after the other, and repeated until the service has saved them. Gives null if the service refuses.
  change(path, body) {
    this.unsaved += 1;
    this.update();
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
        const response = await this.watch(request(`${this.base}/${path}?${query}`, { method: "POST", body: body ? content : null, headers, keepalive }));
        if (response.status !== 401) {
          const answer = response.ok ? await response.json() : null;
          if (!answer) this.problem = await problemOf(response);
          this.unsaved -= 1;
          this.back();
          if (!answer) this.complain(this.problem);
          return answer;
        }
        await this.lost(SIGNED_OUT);
      } catch (error) {
        await this.lost(error.reason ?? AWAY, error.pause);
      }
    }
  }

  // Show a message if an answer takes long, because a connection can be lost without an error. The request goes on: an import may take as long.
  async watch(answer) {
    const late = setTimeout(() => this.miss(LATE), LATE_MS);
    try {
      return await answer;
    } finally {
      clearTimeout(late);
    }
  }

  // Say why there is no answer, and wait until the request is repeated.
  lost(reason, pause = PAUSE_MS) {
    this.miss(reason);
    return wait(pause);
  }

  miss(reason) {
    this.away = reason;
    this.update();
  }

  back() {
    this.miss("");
  }
}
