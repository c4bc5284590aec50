// Messages as they are sent and as they come.
import { inspect } from 'node:util';
import { InvalidMessageError } from './errors.js';

/** A body to be sent: text goes as UTF-8. */
export type Body = string | Uint8Array;

/** A message to be sent. */
export interface Message {
  topic: string;
  body: Body;
  /** One word by which consumers filter. */
  tags?: string;
  /** Under these the message can be looked up. */
  keys?: readonly string[];
  /** Delivery after the broker's delay of this level, 1 to 18 by default; 0 is no delay. */
  delayLevel?: number;
  /** Delivery at this time; brokers from 5.0 on. */
  deliverAt?: Date;
  /** Delivery after so many milliseconds; brokers from 5.0 on. */
  deliverAfter?: number;
  /** The application's own flag. */
  flag?: number;
  /** Whether the broker answers only when the message is as safe as configured (default), or once it is written. */
  waitStoreMsgOk?: boolean;
  /** Any other properties. */
  properties?: Readonly<Record<string, string>>;
}

/** A queue of a topic. */
export interface MessageQueue {
  topic: string;
  brokerName: string;
  queueId: number;
}

/** How safe a stored message is. All four mean that the broker has it. */
export type SendStatus = 'SEND_OK' | 'FLUSH_DISK_TIMEOUT' | 'FLUSH_SLAVE_TIMEOUT' | 'SLAVE_NOT_AVAILABLE';

/** The broker's receipt. */
export interface SendResult {
  sendStatus: SendStatus;
  /** The client's id of the message; for a batch all of them, comma separated. */
  msgId: string;
  /** The broker's id: its address and the place in its CommitLog. */
  offsetMsgId: string;
  messageQueue: MessageQueue;
  /** The number in the queue; for a batch that of the first message. Exact to 2^53 - 1. */
  queueOffset: number;
  transactionId?: string;
  /** Takes a delayed message back, see {@link Producer.recall}. Brokers from 5.3 on. */
  recallHandle?: string;
  regionId: string;
  traceOn: boolean;
}

/** A message without its body, and the body, as they go to the native part. @internal */
export function packed(message: Message): { message: object; body: Uint8Array } {
  if (typeof message !== 'object' || message === null) {
    throw new InvalidMessageError(`a message is an object, not ${inspect(message)}`);
  }
  const { body, deliverAt, ...rest } = message;
  for (const [name, value] of Object.entries(rest)) {
    // JSON would drop them silently.
    const isNumber = typeof value === 'number';
    if (['function', 'symbol', 'bigint'].includes(typeof value) || (isNumber && !Number.isFinite(value))) {
      throw new InvalidMessageError(`${name} of a message cannot be ${String(value)}`);
    }
  }
  const packed = deliverAt === undefined ? rest : { ...rest, deliverAt: time('deliverAt', deliverAt) };
  return { message: packed, body: bytes(body) };
}

/** @internal */
export function bytes(body: Body): Uint8Array {
  if (body instanceof Uint8Array) return body;
  if (typeof body !== 'string') {
    throw new InvalidMessageError(`a body is a string or an Uint8Array, not ${inspect(body)}`);
  }
  if (!(body as string & { isWellFormed(): boolean }).isWellFormed()) {
    throw new InvalidMessageError('the body has half of a surrogate pair, which UTF-8 does not have');
  }
  return Buffer.from(body);
}

/** Milliseconds since 1970. @internal */
export function time(name: string, date: Date): number {
  const ms = date instanceof Date ? date.getTime() : NaN;
  if (!Number.isFinite(ms)) throw new InvalidMessageError(`${name} is a valid Date, not ${inspect(date)}`);
  return ms;
}

/*
 * A message in a batch, little-endian, as src/batch.rs writes it:
 *
 *   0 u32 length of the record   24 f64 store timestamp        48 i32 queue id     64 i32 body CRC
 *   4 u32 length of the text     32 f64 CommitLog offset       52 i32 flag         68 i32 reconsume times
 *   8 f64 queue offset           40 f64 prepared transaction   56 i32 sys flag     72 text
 *  16 f64 born timestamp                offset                 60 i32 store size      body
 *
 * The text is JSON: [topic, brokerName, msgId, bornHost, storeHost, {properties}].
 */
const TEXT = 72;

type Text = [string, string, string, string, string, Record<string, string>];

/** A message as a broker delivered it. Fields are read when they are asked for, out of the memory of its whole batch. */
export class MessageExt {
  readonly #batch: Buffer;
  readonly #at: number;
  #text: Text | undefined;

  /** @internal */
  constructor(batch: Buffer, at: number) {
    this.#batch = batch;
    this.#at = at;
  }

  #read(): Text {
    if (!this.#text) {
      const from = this.#at + TEXT;
      const text = this.#batch.toString('utf8', from, from + this.#batch.readUInt32LE(this.#at + 4));
      this.#text = JSON.parse(text) as Text;
    }
    return this.#text;
  }

  /** The body, unpacked. A view into that memory: copy what is kept for long. */
  get body(): Buffer {
    const from = this.#at + TEXT + this.#batch.readUInt32LE(this.#at + 4);
    return this.#batch.subarray(from, this.#at + this.#batch.readUInt32LE(this.#at));
  }
  /** The topic; for a message that is tried again the original one. */
  get topic(): string {
    return this.#read()[0];
  }
  get brokerName(): string {
    return this.#read()[1];
  }
  /** The producer's id of the message, or the broker's where the producer gave none. */
  get msgId(): string {
    return this.#read()[2];
  }
  /** The producer's address. */
  get bornHost(): string {
    return this.#read()[3];
  }
  /** The broker's address. */
  get storeHost(): string {
    return this.#read()[4];
  }
  get properties(): Readonly<Record<string, string>> {
    return this.#read()[5];
  }
  get tags(): string | undefined {
    return this.properties['TAGS'];
  }
  get keys(): string[] {
    return (this.properties['KEYS'] ?? '').split(' ').filter((key) => key !== '');
  }
  /** The id of the transaction that the message is or was part of. */
  get transactionId(): string | undefined {
    const { TRAN_MSG: half, UNIQ_KEY: id } = this.properties;
    return half?.toLowerCase() === 'true' ? id : undefined;
  }
  /** The level of its delay, 0 for none. */
  get delayLevel(): number {
    return Number(this.properties['DELAY'] ?? 0);
  }
  get queueId(): number {
    return this.#batch.readInt32LE(this.#at + 48);
  }
  /** The number in the queue. Exact to 2^53 - 1. */
  get queueOffset(): number {
    return this.#batch.readDoubleLE(this.#at + 8);
  }
  /** When the producer made it, ms since 1970. */
  get bornTimestamp(): number {
    return this.#batch.readDoubleLE(this.#at + 16);
  }
  /** When the broker stored it, ms since 1970. */
  get storeTimestamp(): number {
    return this.#batch.readDoubleLE(this.#at + 24);
  }
  /** Position of the record in the broker's CommitLog. */
  get commitLogOffset(): number {
    return this.#batch.readDoubleLE(this.#at + 32);
  }
  get preparedTransactionOffset(): number {
    return this.#batch.readDoubleLE(this.#at + 40);
  }
  /** The application's own flag. */
  get flag(): number {
    return this.#batch.readInt32LE(this.#at + 52);
  }
  get sysFlag(): number {
    return this.#batch.readInt32LE(this.#at + 56);
  }
  /** Bytes of the stored record. */
  get storeSize(): number {
    return this.#batch.readInt32LE(this.#at + 60);
  }
  get bodyCrc(): number {
    return this.#batch.readInt32LE(this.#at + 64);
  }
  /** How often its consumption was tried before. */
  get reconsumeTimes(): number {
    return this.#batch.readInt32LE(this.#at + 68);
  }
  /** The queue that it came from. */
  get messageQueue(): MessageQueue {
    return { topic: this.topic, brokerName: this.brokerName, queueId: this.queueId };
  }

  /** All fields but the body, and the body's length. */
  toJSON(): object {
    const { topic, brokerName, queueId, queueOffset, msgId, reconsumeTimes, properties } = this;
    const { bornTimestamp, storeTimestamp, bornHost, storeHost, commitLogOffset, flag, sysFlag } = this;
    return {
      ...{ topic, brokerName, queueId, queueOffset, msgId, reconsumeTimes, properties },
      ...{ bornTimestamp, storeTimestamp, bornHost, storeHost, commitLogOffset, flag, sysFlag },
      bodyLength: this.body.length,
    };
  }

  /** @internal */
  [inspect.custom](): string {
    return `${this.constructor.name} ${inspect(this.toJSON())}`;
  }
}

/** Where the messages of a batch begin. @internal */
export function* records(batch: Buffer): Generator<number> {
  for (let at = 0; at < batch.length; at += batch.readUInt32LE(at)) yield at;
}

/** @internal */
export function messagesOf(batch: Buffer | undefined): MessageExt[] {
  return batch ? Array.from(records(batch), (at) => new MessageExt(batch, at)) : [];
}
