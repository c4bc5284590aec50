// The one door to the native part, for one JavaScript thread.
//
// Every operation is a call with a number; its answer comes back under that number, together with all others that
// are ready, in one batch. Nothing of the native part keeps the process alive by itself: that is decided here, by
// counting the operations that somebody waits for.
import { ConfigError, fromNative, FlowControlError, said, type NativeError } from './errors.js';
import { load, type AddonPort } from './loader.js';

/** Operations that wait for their answer at once; further ones are refused, but for those that are due. */
const WAITING_MAX = 65_536;
/** The longest time of a timer. */
const FOREVER = 0x7fffffff;

/** Something with a body, as it goes to the native part. @internal */
export interface Args {
  bodies?: Uint8Array[];
  signal?: AbortSignal | undefined;
  /** Nobody waits for it: it does not keep the process alive. */
  background?: boolean;
  /** It goes on with what was begun, a few at a time for each object: never refused. */
  due?: boolean;
}

/** An answer: a value, and a buffer where messages come with it. @internal */
export interface Answer {
  value: any;
  data: Buffer | undefined;
}

type Entry = [id: number, kind: 0, error: NativeError] | [id: number, kind: 1 | 2, value: unknown];

interface Waiter {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
  background: boolean;
  signal: AbortSignal | undefined;
  abort: (() => void) | undefined;
}

class Port {
  #native: AddonPort;
  #waiting = new Map<number, Waiter>();
  #next = 1;
  #foreground = 0;
  #alive = setInterval(() => {}, FOREVER).unref();

  constructor() {
    this.#native = load().open(() => this.#drain());
  }

  call(operation: string, handle: number, args: unknown, options: Args = {}): Promise<Answer> {
    const { bodies = [], signal, background = false, due = false } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (!due && this.#waiting.size >= WAITING_MAX) {
        throw new FlowControlError(`${WAITING_MAX} operations wait for their answer already`);
      }
      const id = this.#id();
      // First, because it may throw: args come from the program.
      this.#native.call(id, operation, handle, json(args), bodies);
      const abort = signal && (() => this.#native.cancel(id));
      if (abort) signal.addEventListener('abort', abort);
      this.#waiting.set(id, { resolve, reject, background, signal, abort });
      if (!background && this.#foreground++ === 0) this.#alive.ref();
    });
  }

  settle(handle: number, tickets: number[], level?: number): void {
    this.#native.settle(handle, tickets, level);
  }

  #id(): number {
    do {
      this.#next = (this.#next + 1) % FOREVER;
    } while (this.#waiting.has(this.#next));
    return this.#next;
  }

  #drain(): void {
    const { text, buffers } = this.#native.drain();
    let buffer = 0;
    for (const [id, kind, value] of JSON.parse(text) as Entry[]) {
      const data = kind === 2 ? buffers[buffer++] : undefined;
      const waiter = this.#waiting.get(id);
      if (!waiter) continue;
      this.#waiting.delete(id);
      if (waiter.abort) waiter.signal?.removeEventListener('abort', waiter.abort);
      if (!waiter.background && --this.#foreground === 0) this.#alive.unref();
      if (kind !== 0) waiter.resolve({ value, data });
      // What is given up is answered as closed.
      else if (value.kind === 'Closed' && waiter.signal?.aborted) waiter.reject(waiter.signal.reason);
      else waiter.reject(fromNative(value));
    }
  }
}

function json(args: unknown): string {
  try {
    return JSON.stringify(args) ?? 'null';
  } catch (error) {
    throw new ConfigError(`an argument is wrong: ${said(error)}`);
  }
}

let opened: Port | undefined;

/** The port of this thread, opened at first use. @internal */
export function port(): Port {
  return (opened ??= new Port());
}
