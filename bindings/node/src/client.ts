// The client: the connection to a cluster, shared by all producers and consumers of a program.
import { EventEmitter } from 'node:events';
import { Admin } from './admin.js';
import { ConfigError } from './errors.js';
import { Handle } from './handle.js';
import { LitePullConsumer } from './lite.js';
import type { MessageQueue } from './message.js';
import { port } from './port.js';
import { Producer, TransactionProducer, type CheckLocalTransaction } from './producer.js';
import { PushConsumer, type Selector } from './push.js';
import type {
  ClientSettings,
  LitePullConsumerSettings,
  ProducerSettings,
  PushConsumerSettings,
  TransactionProducerSettings,
} from './settings.js';

/** Settings of a client. */
export interface ClientOptions extends ClientSettings {}

/** Settings of a producer. */
export interface ProducerOptions extends ProducerSettings {
  producerGroup: string;
}

/** Settings of a producer of transactional messages. */
export interface TransactionProducerOptions extends ProducerOptions, TransactionProducerSettings {
  /**
   * Asked by brokers what became of a message whose end they did not hear of, also one of another producer of the
   * group that is gone. What it throws counts as `UNKNOW`: they ask again.
   */
  checkLocalTransaction: CheckLocalTransaction;
}

/** Settings of a push consumer. */
export interface PushConsumerOptions extends PushConsumerSettings {
  consumerGroup: string;
  /** Topics and which of their messages. */
  subscriptions: Readonly<Record<string, Selector>>;
  /** Whether the messages of a queue come one after another. */
  orderly?: boolean;
}

/** Settings of a lite pull consumer: with subscriptions, queues to read, or neither for the time being. */
export interface LitePullConsumerOptions extends LitePullConsumerSettings {
  consumerGroup: string;
  /** Topics and which of their messages; their queues are divided within the group. */
  subscriptions?: Readonly<Record<string, Selector>>;
  /** Queues to read, whoever else does. */
  assign?: readonly MessageQueue[];
}

/** Something that happened in a client. */
export type ClientEvent =
  | { type: 'rebalanced'; group: string; topic: string; queues: MessageQueue[] }
  | { type: 'routeChanged'; topic: string }
  | { type: 'connected'; addr: string }
  | { type: 'disconnected'; addr: string }
  | { type: 'slowHandler'; group: string; queue: MessageQueue; msgId: string; timeoutMs: number }
  | { type: 'flowControl'; group: string; queue: MessageQueue; messages: number }
  | { type: 'missed'; events: number };

type EventMap = { [K in ClientEvent['type']]: [event: Extract<ClientEvent, { type: K }>] };

/** The connection to a cluster. Events come as `client.on('rebalanced', …)` or from {@link events}. */
export class Client extends EventEmitter<EventMap> implements AsyncDisposable {
  readonly #handle: Handle;
  /** The id by which brokers know the client. */
  readonly clientId: string;
  /** What an application may ask and change of its cluster. */
  readonly admin: Admin;
  readonly #consumers = new Set<AsyncDisposable>();
  readonly #producers = new Set<AsyncDisposable>();
  #watching = false;

  private constructor(handle: Handle, clientId: string) {
    super();
    this.#handle = handle;
    this.clientId = clientId;
    this.admin = new Admin(handle);
    (this as EventEmitter).on('newListener', () => void this.#watch());
  }

  /** A client of the cluster at `namesrvAddr`, `host:port;host:port`. Connections are made when they are needed. */
  static async connect(options: ClientOptions = {}): Promise<Client> {
    const { value } = await port().call('client', 0, settings(options));
    return new Client(new Handle(value.handle, 'the client'), value.clientId);
  }

  /** A producer of this group. */
  async producer(options: ProducerOptions): Promise<Producer> {
    const { producerGroup: group, ...rest } = { ...options };
    const handle = await this.#handle.ask<number>('producer', { group, settings: settings(rest) });
    return this.#opened(this.#producers, `producer ${group}`, handle, (handle) => new Producer(handle, group));
  }

  /** A producer of transactional messages. */
  async transactionProducer(options: TransactionProducerOptions): Promise<TransactionProducer> {
    const { producerGroup: group, checkLocalTransaction, ...rest } = { ...options };
    if (typeof checkLocalTransaction !== 'function') {
      throw new ConfigError('a transaction producer needs checkLocalTransaction, a function');
    }
    const args = { group, settings: settings(rest) };
    const handle = await this.#handle.ask<number>('transactionProducer', args);
    return this.#opened(
      this.#producers,
      `producer ${group}`,
      handle,
      (handle) => new TransactionProducer(handle, group, checkLocalTransaction),
    );
  }

  /** A push consumer of this group. It has to be run, or iterated over. */
  async pushConsumer(options: PushConsumerOptions): Promise<PushConsumer> {
    const { consumerGroup: group, subscriptions, orderly = false, ...rest } = { ...options };
    const args = { group, subscriptions, orderly, settings: settings(rest) };
    const handle = await this.#handle.ask<number>('pushConsumer', args);
    return this.#opened(
      this.#consumers,
      `consumer ${group}`,
      handle,
      (handle) => new PushConsumer(handle, group, orderly),
    );
  }

  /** A lite pull consumer of this group. */
  async litePullConsumer(options: LitePullConsumerOptions): Promise<LitePullConsumer> {
    const { consumerGroup: group, subscriptions = {}, assign, ...rest } = { ...options };
    const args = { group, subscriptions, assign, settings: settings(rest) };
    const handle = await this.#handle.ask<number>('litePullConsumer', args);
    return this.#opened(
      this.#consumers,
      `consumer ${group}`,
      handle,
      (handle) => new LitePullConsumer(handle, group),
    );
  }

  /** Something to be closed with the client. */
  #opened<T extends AsyncDisposable>(
    all: Set<AsyncDisposable>,
    what: string,
    number: number,
    make: (handle: Handle) => T,
  ): T {
    const made: T = make(new Handle(number, what, () => all.delete(made)));
    all.add(made);
    // The client's own close did not know of it.
    if (this.#handle.isClosing) void made[Symbol.asyncDispose]();
    return made;
  }

  /** The queues that messages of a topic can be sent to. */
  fetchQueues(topic: string): Promise<MessageQueue[]> {
    return this.#handle.ask('fetchQueues', topic);
  }

  /** What happens in the client from now on, until it is closed. */
  events(options: { signal?: AbortSignal } = {}): AsyncGenerator<ClientEvent, void, undefined> {
    return this.#events(this.#handle.ask('watch'), options?.signal, false);
  }

  #events(
    watch: Promise<number>,
    signal: AbortSignal | undefined,
    background: boolean,
  ): AsyncGenerator<ClientEvent, void, undefined> {
    const watcher = watch.then((number) => new Handle(number, 'the watcher'));
    // Told of when the first event is asked for.
    watcher.catch(() => {});
    const events = eventsOf(watcher, signal, background);
    unread.register(events, watcher);
    return events;
  }

  /** For those who use `on`. It does not keep the process alive. */
  async #watch(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    try {
      const watch = this.#handle.ask<number>('watch', null, { background: true, due: true });
      for await (const event of this.#events(watch, undefined, true)) {
        // Later, because listeners may throw: that is the program's own matter.
        queueMicrotask(() => this.emit(event.type, event as never));
      }
    } catch {
      // Closed meanwhile.
    }
  }

  /**
   * Closes everything that was made from this client: consumers stop and commit, sends under way end, brokers are told.
   */
  close(): Promise<void> {
    const all = (set: Set<AsyncDisposable>) =>
      Promise.allSettled(Array.from(set, (one) => one[Symbol.asyncDispose]()));
    return this.#handle.close(async () => {
      // Handlers that are at work may still send.
      await all(this.#consumers);
      await all(this.#producers);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Closes watchers whose events nobody can ask for any more: a generator that was not begun has no `finally`. */
const unread = new FinalizationRegistry<Promise<Handle>>((watcher) => {
  void watcher.then((watcher) => watcher.close()).catch(() => {});
});

async function* eventsOf(
  watch: Promise<Handle>,
  signal: AbortSignal | undefined,
  background: boolean,
): AsyncGenerator<ClientEvent, void, undefined> {
  const watcher = await watch;
  try {
    for (;;) {
      const events = await watcher
        .ask<ClientEvent[] | null>('takeEvents', null, { signal, background, due: true })
        .catch((error: unknown) => {
          if (signal?.aborted) return null;
          throw error;
        });
      if (!events) return;
      yield* events;
    }
  } finally {
    await watcher.close();
  }
}

/** Settings as text, by name. What is undefined is not set. */
function settings(options: object): Record<string, string> {
  const all: Record<string, string> = {};
  if (typeof options !== 'object' || options === null) throw new ConfigError('options are an object');
  for (const [name, value] of Object.entries(options as Record<string, unknown>)) {
    if (value === undefined) continue;
    if (value instanceof Date) all[name] = String(value.getTime());
    else if (['string', 'number', 'boolean'].includes(typeof value)) all[name] = String(value);
    else throw new ConfigError(`${name} is neither text nor a number or boolean`);
  }
  return all;
}
