// Producers: what sends.
import { setTimeout } from 'node:timers/promises';
import { ConfigError, FerrocketError, InvalidMessageError, said } from './errors.js';
import type { Handle } from './handle.js';
import {
  bytes,
  messagesOf,
  packed,
  MessageExt,
  type Body,
  type Message,
  type MessageQueue,
  type SendResult,
} from './message.js';

/** How long a close waits for sends under way, in milliseconds; as long as the client's does. */
const DRAIN_TIMEOUT = 10_000;

/** Options of operations that may be given up. */
export interface SignalOptions {
  /** Gives up waiting. A message may have been stored all the same. */
  signal?: AbortSignal | undefined;
}

/** What is said about one send alone. With a queue, or a key that orders it, a message is tried once. */
export interface SendTerms {
  /** The queue to send to. */
  queue?: MessageQueue;
  /** The key of those messages that keep their order: all of one key go to one queue. */
  orderedBy?: string;
  /** The time in milliseconds, in place of the producer's `sendMsgTimeout`. */
  timeout?: number | undefined;
}

/** Options of a send. */
export interface SendOptions extends SendTerms, SignalOptions {}

/** Options of a send whose queue is told apart. */
export type AddressedOptions = Omit<SendOptions, 'queue' | 'orderedBy'>;

/** What became of a local transaction. Java's `UNKNOW` is spelt right here. */
export type LocalTransactionState = 'COMMIT_MESSAGE' | 'ROLLBACK_MESSAGE' | 'UNKNOWN';

/** What the local work of a transaction is given. */
export interface LocalTransaction {
  /** The message as it was handed in. */
  message: Message;
  /** Names the transaction: a check brings the same id, see {@link MessageExt.transactionId}. */
  transactionId: string;
  /** The broker's receipt for the half message. */
  half: SendResult;
}

/** The broker's receipt for the half message, and what became of the transaction. */
export interface TransactionSendResult extends SendResult {
  localTransactionState: LocalTransactionState;
  /** What the local work threw. */
  failure?: unknown;
}

/** Sends messages in the name of a producer group. Made by {@link Client.producer}. */
export class Producer implements AsyncDisposable {
  /** @internal */
  protected readonly handle: Handle;
  readonly group: string;
  /** Sends under way. */
  #sending = 0;
  #idle = () => {};

  /** @internal */
  constructor(handle: Handle, group: string) {
    this.handle = handle;
    this.group = group;
  }

  /** Sends one message and waits for the broker's receipt. After a failure another broker is tried, while time is left. */
  send(message: Message, options?: SendOptions): Promise<SendResult> {
    return this.#send('send', message, options);
  }

  /** The same, in the order of calls: what is enqueued first is first in line for a broker. */
  enqueue(message: Message, options?: SendTerms): Promise<SendResult> {
    return this.#send('enqueue', message, options);
  }

  /** Sends a message without waiting for a receipt. It may get lost. */
  async sendOneway(message: Message, options?: SendOptions): Promise<void> {
    await this.#send('sendOneway', message, options);
  }

  /** Sends a message to the queue that all messages with this key go to, so that they keep their order. Tried once. */
  sendOrdered(message: Message, key: string, options?: AddressedOptions): Promise<SendResult> {
    return this.send(message, { ...options, orderedBy: key });
  }

  /** Sends a message to this queue. Tried once. */
  sendTo(message: Message, queue: MessageQueue, options?: AddressedOptions): Promise<SendResult> {
    return this.send(message, { ...options, queue });
  }

  /** Sends messages of one topic as one request: stored next to each other in one queue, all or none. */
  sendBatch(messages: readonly Message[], options?: SendOptions): Promise<SendResult> {
    return this.#batch('sendBatch', messages, options);
  }

  /** The same, in the order of calls, as {@link enqueue}. */
  enqueueBatch(messages: readonly Message[], options?: SendTerms): Promise<SendResult> {
    return this.#batch('enqueueBatch', messages, options);
  }

  async #batch(operation: string, messages: readonly Message[], options?: SendOptions): Promise<SendResult> {
    if (!Array.isArray(messages)) throw new InvalidMessageError('a batch is an array of messages');
    const all = (messages as readonly Message[]).map(packed);
    const args = { messages: all.map(({ message }) => message), terms: terms(options) };
    const bodies = all.map(({ body }) => body);
    const sent = this.handle.ask<SendResult>(operation, args, { signal: options?.signal, bodies });
    return this.#ends(messages, sent);
  }

  /** Sends a request and waits for its reply, together at most `timeout` milliseconds. */
  async request(message: Message, options: SignalOptions & { timeout: number }): Promise<MessageExt> {
    const { message: request, body } = packed(message);
    const { timeout, signal } = options ?? {};
    const args = { message: request, terms: { timeout } };
    const asked = this.handle.call('request', args, { signal, bodies: [body] });
    const { data } = await this.unsent([message], asked);
    const [reply] = messagesOf(data);
    return reply as MessageExt;
  }

  /** Answers a request that a consumer got. */
  async reply(request: MessageExt, body: Body): Promise<SendResult> {
    if (!(request instanceof MessageExt)) throw new InvalidMessageError('a request is a message that was received');
    return this.#ends([], this.handle.ask<SendResult>('reply', request.properties, { bodies: [bytes(body)] }));
  }

  /** Takes back a delayed message by the handle that its receipt has; answers the message's id. Brokers from 5.3 on. */
  recall(topic: string, recallHandle: string): Promise<string> {
    return this.handle.ask('recall', { topic, recallHandle });
  }

  /** The queues that messages of a topic can be sent to. */
  fetchQueues(topic: string): Promise<MessageQueue[]> {
    return this.handle.ask('fetchQueues', topic);
  }

  /**
   * Further sends are refused, those under way end, for at most 10 s; requests and transactions are not waited for.
   * Closing the client does it, too.
   */
  close(): Promise<void> {
    return this.handle.close(async () => {
      if (this.#sending === 0) return;
      const idle = new Promise<void>((resolve) => (this.#idle = resolve));
      await Promise.race([idle, setTimeout(DRAIN_TIMEOUT, undefined, { ref: false })]);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #send(operation: string, message: Message, options?: SendOptions): Promise<SendResult> {
    const { message: fields, body } = packed(message);
    const args = { message: fields, terms: terms(options) };
    const sent = this.handle.ask<SendResult>(operation, args, { signal: options?.signal, bodies: [body] });
    return this.#ends([message], sent);
  }

  /** A close waits for it. */
  async #ends(messages: readonly Message[], sent: Promise<SendResult>): Promise<SendResult> {
    this.#sending++;
    try {
      return await this.unsent(messages, sent);
    } finally {
      if (--this.#sending === 0) this.#idle();
    }
  }

  /** Gives failed messages back with the error. @internal */
  protected async unsent<T>(messages: readonly Message[], sent: Promise<T>): Promise<T> {
    try {
      return await sent;
    } catch (error) {
      if (error instanceof FerrocketError) error.unsent = messages;
      throw error;
    }
  }
}

function terms(options: SendOptions | undefined): object | undefined {
  if (options === undefined) return undefined;
  const { signal: _, timeout, ...where } = { ...options };
  // JSON would drop what is undefined, and the message would go anywhere without a word.
  const told = Object.entries(where).map(([name, value]) => [name, value ?? null]);
  return { ...Object.fromEntries(told), timeout };
}

/** Asked by brokers what became of a message whose end they did not hear of. */
export type CheckLocalTransaction = (
  message: MessageExt,
) => LocalTransactionState | Promise<LocalTransactionState>;

/** Sends messages that consumers get only if a local transaction was committed. */
export class TransactionProducer extends Producer {
  #check: CheckLocalTransaction;

  /** @internal */
  constructor(handle: Handle, group: string, check: CheckLocalTransaction) {
    super(handle, group);
    this.#check = check;
    void this.#checks();
  }

  /**
   * Sends a half message, does the local work, and tells the broker what became of it. Work that throws leaves it
   * `UNKNOWN`: the broker asks `checkLocalTransaction` later. The work is not done when the half message was stored
   * with another status than `SEND_OK`.
   */
  async sendInTransaction(
    message: Message,
    local: (transaction: LocalTransaction) => LocalTransactionState | Promise<LocalTransactionState>,
  ): Promise<TransactionSendResult> {
    if (typeof local !== 'function') throw new ConfigError('the local work of a transaction is a function');
    const { message: args, body } = packed(message);
    const half = this.handle.ask<{ ticket?: number; transactionId: string; half: SendResult }>(
      'sendHalf',
      { message: args },
      { bodies: [body] },
    );
    const { ticket, transactionId, half: sent } = await this.unsent([message], half);
    if (ticket === undefined) return { ...sent, localTransactionState: 'ROLLBACK_MESSAGE' };
    const [localTransactionState, failure] = await outcome(() => local({ message, transactionId, half: sent }));
    const end = { ticket, state: localTransactionState, failure: text(failure) };
    // Closed meanwhile: the broker asks.
    await this.handle.answer('endTransaction', end);
    return failure === undefined
      ? { ...sent, localTransactionState }
      : { ...sent, localTransactionState, failure };
  }

  /** Answers checks until the end. */
  async #checks(): Promise<void> {
    try {
      for (;;) {
        // A producer that is only asked does not keep the process alive.
        const { value: first, data } = await this.handle.call('takeChecks', null, { background: true, due: true });
        if (!data) return;
        messagesOf(data).forEach((message, at) => void this.#answer(first + at, message));
      }
    } catch {
      // Closed.
    }
  }

  async #answer(ticket: number, message: MessageExt): Promise<void> {
    const [state, failure] = await outcome(() => this.#check(message));
    await this.handle.answer('answerCheck', { ticket, state, failure: text(failure) });
  }
}

const STATES: readonly unknown[] = ['COMMIT_MESSAGE', 'ROLLBACK_MESSAGE', 'UNKNOWN'];

async function outcome(
  work: () => LocalTransactionState | Promise<LocalTransactionState>,
): Promise<[LocalTransactionState, unknown]> {
  try {
    const state = await work();
    if (STATES.includes(state)) return [state, undefined];
    return ['UNKNOWN', new TypeError(`${said(state)} is no state of a local transaction`)];
  } catch (error) {
    return ['UNKNOWN', error ?? new Error('nothing was thrown as an error')];
  }
}

function text(failure: unknown): string | undefined {
  return failure === undefined ? undefined : said(failure);
}
