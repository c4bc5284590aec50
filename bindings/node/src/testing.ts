// A NameServer and a Broker in the process of a test.
import { ConfigError } from './errors.js';
import { Handle } from './handle.js';
import { port } from './port.js';

/** Settings of the Broker by their Java names, for instance `{ messageDelayLevel: '1s 5s' }`. */
export type BrokerSettings = Readonly<Record<string, string | number | boolean>>;

/** Real servers on free ports of this machine, with a disk in memory. Topics and groups are created by being used. */
export class Broker implements AsyncDisposable {
  readonly #handle: Handle;
  /** Where the NameServer listens: the `namesrvAddr` of a client. */
  readonly namesrvAddr: string;

  private constructor(handle: Handle, namesrvAddr: string) {
    this.#handle = handle;
    this.namesrvAddr = namesrvAddr;
  }

  static async start(settings: BrokerSettings = {}): Promise<Broker> {
    if (typeof settings !== 'object' || settings === null) throw new ConfigError('settings are an object');
    const texts = Object.entries(settings).map(([key, value]) => [key, String(value)]);
    const { value } = await port().call('cluster', 0, Object.fromEntries(texts));
    return new Broker(new Handle(value.handle, 'the broker'), value.namesrvAddr);
  }

  /** Turns the Broker's clock on by so many milliseconds: what is due then happens now, delayed messages and retries. */
  async advance(ms: number): Promise<void> {
    await this.#handle.ask('advance', ms);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
