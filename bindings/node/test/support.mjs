// What the tests share.
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Client } from 'ferrocket';
import { Broker } from 'ferrocket/testing';

let numbers = 0;

/** A name that no other test has. */
export const unique = (word) => `${word}-${process.pid}-${++numbers}`;

/** A broker and a client for a test, closed with it. */
export async function cluster(t, settings) {
  const broker = await Broker.start(settings);
  const client = await Client.connect({ namesrvAddr: broker.namesrvAddr, mqClientApiTimeout: 60_000 });
  t.after(async () => {
    await client.close();
    await broker.close();
  });
  return { broker, client };
}

/** A producer for which slow is not failed. */
export const PATIENT = { sendMsgTimeout: 60_000 };

/** Turns a broker's clock on by a minute, again and again; answers what ends it. */
export function turning(broker) {
  // One that comes too late is told that the broker is closed.
  const timer = setInterval(() => broker.advance(60_000).catch(() => {}), 100);
  return () => clearInterval(timer);
}

/** Resolves when so many values were pushed; what a test that never gets them is told. */
export class Collected {
  values = [];
  #waiting = [];

  push(value) {
    this.values.push(value);
    this.#waiting = this.#waiting.filter(({ count, resolve }) => {
      if (this.values.length < count) return true;
      resolve(this.values);
      return false;
    });
  }

  async until(count) {
    if (this.values.length >= count) return this.values;
    const { promise, resolve, reject } = Promise.withResolvers?.() ?? withResolvers();
    this.#waiting.push({ count, resolve });
    const late = setTimeout(() => reject(new Error(`${this.values.length} of ${count} came`)), 120_000);
    return promise.finally(() => clearTimeout(late));
  }
}

function withResolvers() {
  const all = {};
  all.promise = new Promise((resolve, reject) => Object.assign(all, { resolve, reject }));
  return all;
}

/** Runs a program of the tests to its end; with `args`, and killed when it takes too long. */
export async function run(file, ...args) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  const [code, signal] = await once(child, 'close');
  return { code, signal, output };
}

/** First offsets, so that a consumer may start after its messages were sent. */
export const FROM_FIRST = { consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET' };
