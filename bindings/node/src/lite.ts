// A lite pull consumer: messages are asked for.
import { ClosedError, ConfigError, said } from './errors.js';
import type { Handle } from './handle.js';
import { messagesOf, time, type MessageExt, type MessageQueue } from './message.js';
import type { SignalOptions } from './producer.js';
import type { Selector } from './push.js';

/** Consumes as a member of a group, or queues chosen by hand, at the caller's pace. Made by {@link Client.litePullConsumer}. */
export class LitePullConsumer implements AsyncDisposable, AsyncIterable<MessageExt> {
  readonly #handle: Handle;
  readonly group: string;

  /** @internal */
  constructor(handle: Handle, group: string) {
    this.#handle = handle;
    this.group = group;
  }

  /**
   * Up to `pullBatchSize` messages, as soon as there are some; none after `timeout` milliseconds (default 1000). With
   * automatic commits, asking again says that those before are done.
   */
  async poll(options: SignalOptions & { timeout?: number } = {}): Promise<MessageExt[]> {
    const { timeout = 1000, signal } = options ?? {};
    return messagesOf((await this.#handle.call('poll', timeout, { signal })).data);
  }

  /**
   * Each message, until the consumer is closed. With automatic commits, asking for the next says that those before are
   * done: it is asked for one by one, so that what a loop that ends has not reached comes again.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<MessageExt, void, undefined> {
    try {
      for (;;) {
        const next = messagesOf((await this.#handle.call('next')).data);
        if (next.length === 0) return;
        yield* next;
      }
    } catch (error) {
      // The end; what the loop's body throws does not come here.
      if (!(error instanceof ClosedError)) throw error;
    }
  }

  /** Subscribes to a topic, whose queues are divided within the group. Not together with {@link assign}. */
  async subscribe(topic: string, selector: Selector = '*'): Promise<void> {
    await this.#handle.ask('subscribe', { topic, selector });
  }

  async unsubscribe(topic: string): Promise<void> {
    await this.#handle.ask('unsubscribe', topic);
  }

  /** Takes these queues, instead of any before. Not together with {@link subscribe}. */
  async assign(queues: readonly MessageQueue[]): Promise<void> {
    await this.#handle.ask('assign', queues);
  }

  /** The queues that this consumer has at present. */
  assignment(): Promise<MessageQueue[]> {
    return this.#handle.ask('assignment');
  }

  /** Goes on at an offset, at the queue's first or behind its last message, or at the first message stored at a time. */
  async seek(queue: MessageQueue, to: number | 'begin' | 'end' | Date): Promise<void> {
    if (to instanceof Date) await this.#handle.ask('seekToTime', { queue, time: time('to', to) });
    else if (to === 'begin') await this.#handle.ask('seekToBegin', { queue });
    else if (to === 'end') await this.#handle.ask('seekToEnd', { queue });
    else if (Number.isSafeInteger(to)) await this.#handle.ask('seek', { queue, offset: to });
    else throw new ConfigError(`an offset is a whole number, 'begin', 'end' or a Date, not ${said(to)}`);
  }

  /** Hands out no more messages of these queues until they are resumed. */
  async pause(queues: readonly MessageQueue[]): Promise<void> {
    await this.#handle.ask('pause', queues);
  }

  async resume(queues: readonly MessageQueue[]): Promise<void> {
    await this.#handle.ask('resume', queues);
  }

  /** Commits what was handed out, or these offsets. */
  async commit(offsets?: readonly { queue: MessageQueue; offset: number }[]): Promise<void> {
    await this.#handle.ask('commit', offsets ?? null);
  }

  /** The offset that the group has committed, `undefined` where it never has. */
  async committed(queue: MessageQueue): Promise<number | undefined> {
    return (await this.#handle.ask<number | null>('committed', { queue })) ?? undefined;
  }

  /** The offset of the first message stored at this time or later. */
  async offsetForTimestamp(queue: MessageQueue, timestamp: Date): Promise<number> {
    return this.#handle.ask('offsetForTimestamp', { queue, time: time('timestamp', timestamp) });
  }

  /** The queues of a topic that can be read. */
  fetchQueues(topic: string): Promise<MessageQueue[]> {
    return this.#handle.ask('fetchQueues', topic);
  }

  /** Commits what is done, stops pulling and leaves the group. */
  close(): Promise<void> {
    return this.#handle.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
