// The process: it ends by itself, starts and exits in any state, and has threads.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Client } from 'ferrocket';
import { Broker } from 'ferrocket/testing';
import { Collected, FROM_FIRST, run } from './support.mjs';

/** By hand: STARTS=1000. */
const STARTS = Number(process.env.STARTS ?? 50);

test('the process ends by itself after close, also without, and not before what it waits for', async (t) => {
  const broker = await Broker.start();
  t.after(() => broker.close());
  for (const [way, prints] of [
    ['closed', 'sent\nclosed\n'],
    ['forgotten', 'sent\n'],
    ['waiting', 'sent\nreceived waiting\nclosed\n'],
    ['broker', 'SEND_OK\n'],
    ['listener', 'on purpose\n'],
    ['unread', 'false\n'],
    ['opening', 'closed\n'],
  ]) {
    const { code, signal, output } = await run('programs/ending.mjs', way, broker.namesrvAddr);
    assert.deepEqual([code, signal, output], [0, null, prints], way);
  }
});

test(`${STARTS} starts and exits with a live client`, { timeout: 3_600_000 }, async (t) => {
  const broker = await Broker.start();
  t.after(() => broker.close());
  const ways = ['exit', 'end', 'throw', 'abandon'];
  const codes = { exit: 7, end: 0, throw: 1, abandon: 3 };
  for (let at = 0; at < STARTS; at += 2) {
    await Promise.all([at, at + 1].map(async (number) => {
      const way = ways[number % ways.length];
      const { code, signal, output } = await run('programs/exiting.mjs', way, broker.namesrvAddr);
      assert.deepEqual([code, signal], [codes[way], null], `${way}: ${output}`);
    }));
  }
});

test('worker threads have clients of their own, and may end at any time', async (t) => {
  const broker = await Broker.start();
  t.after(() => broker.close());
  const start = (way) => new Worker(new URL('programs/worker.mjs', import.meta.url), {
    workerData: { way, namesrvAddr: broker.namesrvAddr },
  });
  const workers = ['closed', 'closed', 'forgotten', 'forgotten'].map(start);
  const answers = await Promise.all(workers.map(async (worker) => {
    const exited = once(worker, 'exit');
    const [answer] = await once(worker, 'message');
    return [answer, (await exited)[0]];
  }));
  assert.deepEqual(answers, Array(4).fill([20, 0]));
  for (let round = 0; round < 10; round++) {
    const worker = start('forever');
    await once(worker, 'message');
    await worker.terminate();
  }
  // What the thread had and did not answer goes to others of its group, however long it would have been waited for.
  const worker = start('silent');
  const [thread] = await once(worker, 'message');
  await worker.terminate();
  const client = await Client.connect({ namesrvAddr: broker.namesrvAddr });
  t.after(() => client.close());
  const consumer = await client.pushConsumer({
    consumerGroup: `g-${thread}`, subscriptions: { [`worker-${thread}`]: '*' }, orderly: true, ...FROM_FIRST,
  });
  const got = new Collected();
  await consumer.run({ eachMessage: (message) => void got.push(Number(message.body)) });
  assert.deepEqual([...(await got.until(20))].sort((a, b) => a - b), Array.from({ length: 20 }, (_, at) => at));
});
