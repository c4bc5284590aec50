// A push consumer: messages come by themselves.
import { EventEmitter } from 'node:events';
import { ClosedError, ConfigError, said } from './errors.js';
import type { Handle } from './handle.js';
import { MessageExt, records, type MessageQueue } from './message.js';
import { port } from './port.js';

/** Messages of a batch at most. */
const BATCH_MAX = 512;
/** Messages that are fetched from the native part at once for those who take one at a time. */
const AHEAD = 64;

/** Which messages of a topic: tags with `||` between them, `*`, or a condition in SQL92. */
export type Selector = string | { sql: string };

/** What becomes of a message. Nothing (`undefined`) is success. */
export type ConsumeResult = 'CONSUME_SUCCESS' | 'RECONSUME_LATER' | { delayLevel: number };

/** What becomes of messages of an orderly consumer. Nothing (`undefined`) is success. */
export type ConsumeOrderlyResult =
  | 'SUCCESS'
  | 'COMMIT'
  | 'ROLLBACK'
  | 'SUSPEND_CURRENT_QUEUE_A_MOMENT'
  | { suspendMs: number };

type Maybe<T> = void | T | Promise<void | T>;

/** How {@link PushConsumer.run} hands messages over: one of the two functions. */
export interface RunOptions {
  /** Calls at once. Default 20. Not for orderly consumers: they have one call for each queue. */
  concurrency?: number;
  /** Messages for each call of `eachBatch`, at most 512, which is the default. */
  batchSize?: number;
  /** Called for each message. What it throws means that the message comes again later. */
  eachMessage?: (message: Delivery) => Maybe<ConsumeResult | ConsumeOrderlyResult>;
  /**
   * Called for several messages. What it answers or throws holds for all that it has not answered by themselves. Calls
   * are made one after another unless `concurrency` is given.
   */
  eachBatch?: (messages: Delivery[]) => Maybe<ConsumeResult | ConsumeOrderlyResult>;
  /** Ends the run. The consumer stays open. */
  signal?: AbortSignal;
}

/** A message and the duty to answer for it. What is never answered comes again after `consumeTimeout`. */
export class Delivery extends MessageExt {
  #settle: ((level: number | undefined) => void) | undefined;

  /** @internal */
  constructor(batch: Buffer, at: number, settle?: (level: number | undefined) => void) {
    super(batch, at);
    this.#settle = settle;
  }

  /** It is done. The first answer counts. */
  ack(): void {
    this.#answer(undefined);
  }

  /**
   * It comes again after the broker's delay of this level: 1 to 18 by default, 0 (the default) lets the broker choose
   * by the number of attempts, -1 makes it a dead letter at once.
   */
  retryLater(delayLevel = 0): void {
    if (!isLevel(delayLevel)) throw new ConfigError(`a delay level is a whole number, not ${said(delayLevel)}`);
    this.#answer(delayLevel);
  }

  #answer(level: number | undefined): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(level);
  }
}

interface Events {
  /** A handler threw; the messages come again later. */
  handlerError: [error: unknown, messages: Delivery[]];
  /** The run ended because of a fault. */
  error: [error: unknown];
}

/** Consumes as a member of a group. Made by {@link Client.pushConsumer}; begins when it is run or iterated over. */
export class PushConsumer extends EventEmitter<Events> implements AsyncDisposable, AsyncIterable<Delivery> {
  readonly #handle: Handle;
  readonly group: string;
  readonly #orderly: boolean;
  readonly #acknowledged: number[] = [];
  readonly #stop = new AbortController();
  /** Fetched and not handed over yet, the last first. */
  #ready: Delivery[] = [];
  #isTaken = false;
  #hasEnded = false;

  /** @internal */
  constructor(handle: Handle, group: string, orderly: boolean) {
    super();
    this.#handle = handle;
    this.group = group;
    this.#orderly = orderly;
  }

  /** Begins to hand messages over, until the consumer is closed or the signal given. Resolves when it has begun. */
  async run(options: RunOptions): Promise<void> {
    const { eachMessage, eachBatch, signal } = options ?? {};
    if ((typeof eachMessage === 'function') === (typeof eachBatch === 'function')) {
      throw new ConfigError('a run needs one function: eachMessage or eachBatch');
    }
    const concurrency = within('concurrency', options.concurrency ?? (eachMessage ? 20 : 1), 1000);
    const size = eachMessage ? 1 : within('batchSize', options.batchSize ?? BATCH_MAX, BATCH_MAX);
    const each = eachBatch ?? oneByOne(eachMessage as NonNullable<typeof eachMessage>);
    const stop = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal;
    this.#begin();
    const running = this.#orderly ? this.#runOrderly(each, stop) : this.#runConcurrently(each, size, concurrency, stop);
    running
      .finally(() => {
        // The end of the run frees the consumer for another.
        this.#isTaken = false;
      })
      .catch((error: unknown) => this.emit('error', error));
  }

  /** Each message once it is asked for, until the consumer is closed. Whoever gets it acknowledges it. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Delivery, void, undefined> {
    if (this.#orderly) throw new ConfigError('an orderly consumer is run, not iterated over');
    this.#begin();
    try {
      for (;;) {
        if (this.#ready.length === 0) await this.#fetch(AHEAD, this.#stop.signal);
        const next = this.#ready.pop();
        if (!next) return;
        yield next;
      }
    } finally {
      this.#isTaken = false;
    }
  }

  /** Subscribes to a topic while the consumer runs, or changes the subscription. */
  async subscribe(topic: string, selector: Selector = '*'): Promise<void> {
    await this.#handle.ask('subscribe', { topic, selector });
  }

  async unsubscribe(topic: string): Promise<void> {
    await this.#handle.ask('unsubscribe', topic);
  }

  /** Pauses the pulling of messages. */
  async suspend(): Promise<void> {
    await this.#handle.ask('suspend');
  }

  async resume(): Promise<void> {
    await this.#handle.ask('resume');
  }

  /** The queues that this consumer has at present. */
  queues(): Promise<MessageQueue[]> {
    return this.#handle.ask('assignment');
  }

  /**
   * Stops pulling, waits for what is not answered yet (`awaitTerminationMillisWhenShutdown`), commits and leaves the
   * group.
   */
  close(): Promise<void> {
    this.#stop.abort();
    // What nobody was handed comes again.
    for (const message of this.#ready.splice(0)) message.retryLater();
    // What is acknowledged counts, however short the wait is.
    this.#flush();
    return this.#handle.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #begin(): void {
    if (this.#isTaken) throw new ConfigError('the consumer is run or iterated over already');
    this.#isTaken = true;
  }

  async #runConcurrently(
    each: NonNullable<RunOptions['eachBatch']>,
    size: number,
    concurrency: number,
    stop: AbortSignal,
  ): Promise<void> {
    const ahead = size === 1 ? Math.max(AHEAD, concurrency) : Math.min(size * concurrency, BATCH_MAX);
    let fetching: Promise<void> | undefined;
    const worker = async (): Promise<void> => {
      while (!stop.aborted) {
        if (this.#ready.length === 0) {
          // Whoever comes first asks; the others wait for the same answer.
          fetching ??= this.#fetch(ahead, stop).finally(() => {
            fetching = undefined;
          });
          await fetching;
          if (this.#ready.length === 0 && this.#hasEnded) return;
          continue;
        }
        await this.#handled(each, this.#ready.splice(-size).reverse());
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
  }

  async #handled(each: NonNullable<RunOptions['eachBatch']>, messages: Delivery[]): Promise<void> {
    let level: number | undefined;
    try {
      level = delayLevel(await each(messages.slice()));
    } catch (error) {
      level = 0;
      this.#tell(error, messages);
    }
    for (const message of messages) {
      if (level === undefined) message.ack();
      else message.retryLater(level);
    }
  }

  /** Gets messages ready, once there are some; none at the end. */
  async #fetch(max: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    try {
      const { value: first, data } = await this.#handle.call('take', max, { signal, due: true });
      if (!data) {
        this.#hasEnded = true;
        return;
      }
      let ticket = first as number;
      this.#ready = Array.from(records(data), (at) => {
        const own = ticket++;
        return new Delivery(data, at, (level) => this.#settled(own, level));
      }).reverse();
    } catch (error) {
      if (error instanceof ClosedError) this.#hasEnded = true;
      else if (!signal.aborted) throw error;
    }
    // Closed while they were on their way.
    if (this.#stop.signal.aborted) for (const message of this.#ready.splice(0)) message.retryLater();
  }

  #settled(ticket: number, level: number | undefined): void {
    if (level !== undefined) port().settle(this.#handle.number, [ticket], level);
    // Those of one turn of the event loop go together.
    else if (this.#acknowledged.push(ticket) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const tickets = this.#acknowledged.splice(0);
    if (tickets.length > 0) port().settle(this.#handle.number, tickets);
  }

  /** Takes turns of queues until the end; each is handled by itself. */
  async #runOrderly(each: NonNullable<RunOptions['eachBatch']>, stop: AbortSignal): Promise<void> {
    const handling = new Set<Promise<void>>();
    while (!stop.aborted) {
      const answer = await this.#handle.call('take', 1, { signal: stop, due: true }).catch((error: unknown) => {
        if (stop.aborted || error instanceof ClosedError) return undefined;
        throw error;
      });
      if (!answer?.data) break;
      const { value: ticket, data } = answer;
      const messages = Array.from(records(data), (at) => new Delivery(data, at));
      const handled: Promise<void> = this.#orderlyHandled(each, ticket, messages).finally(() => {
        handling.delete(handled);
      });
      handling.add(handled);
    }
    await Promise.all(handling);
  }

  async #orderlyHandled(
    each: NonNullable<RunOptions['eachBatch']>,
    ticket: number,
    messages: Delivery[],
  ): Promise<void> {
    const answer = (result: unknown, failure?: string) => this.#handle.answer('answer', { ticket, result, failure });
    try {
      await answer((await each(messages)) ?? 'SUCCESS');
    } catch (error) {
      // A result that is none leaves them unanswered, too.
      this.#tell(error, messages);
      await answer('SUSPEND_CURRENT_QUEUE_A_MOMENT', said(error)).catch((error: unknown) => this.#tell(error, messages));
    }
  }

  /** Later, because listeners may throw: that is the program's own matter. */
  #tell(error: unknown, messages: Delivery[]): void {
    queueMicrotask(() => this.emit('handlerError', error, messages));
  }
}

/** One call for each; the first that is not done speaks for the rest of an orderly queue's messages. */
function oneByOne(each: NonNullable<RunOptions['eachMessage']>): NonNullable<RunOptions['eachBatch']> {
  return async (messages) => {
    let result: void | ConsumeResult | ConsumeOrderlyResult = undefined;
    for (const message of messages) {
      result = await each(message);
      if (result !== undefined && result !== 'SUCCESS' && result !== 'COMMIT') return result;
    }
    return result;
  };
}

/** `undefined` is success. */
function delayLevel(result: unknown): number | undefined {
  if (result === undefined || result === 'CONSUME_SUCCESS') return undefined;
  if (result === 'RECONSUME_LATER') return 0;
  const level = (result as { delayLevel?: unknown } | null)?.delayLevel;
  if (isLevel(level)) return level;
  throw new TypeError(`${said(result)} is no result of consumption`);
}

/** A whole number of 32 bits. */
function isLevel(level: unknown): level is number {
  return typeof level === 'number' && (level | 0) === level;
}

function within(name: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new ConfigError(`${name} is ${said(value)}, it must be from 1 to ${max}`);
}
