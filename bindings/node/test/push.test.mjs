// Push consumers of every kind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ClosedError, ConfigError, FlowControlError } from 'ferrocket';
import { cluster, Collected, FROM_FIRST, PATIENT, turning, unique } from './support.mjs';

async function filled(client, topic, count, more = () => ({})) {
  const producer = await client.producer({ producerGroup: unique('p'), ...PATIENT });
  await Promise.all(Array.from({ length: count }, (_, at) => producer.send({ topic, body: `m${at}`, ...more(at) })));
  await producer.close();
}

const all = (count) => Array.from({ length: count }, (_, at) => `m${at}`).sort();

test('eachMessage gets every message once, and a member that joins takes over what was left', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  await filled(client, topic, 300);
  const consumer = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  const got = new Collected();
  await consumer.run({ concurrency: 8, eachMessage: async (message) => got.push(message.body.toString()) });
  assert.deepEqual([...(await got.until(300))].sort(), all(300));
  assert.equal((await consumer.queues()).filter((queue) => queue.topic === topic).length, 4);
  await consumer.close();
  await filled(client, topic, 5, () => ({ tags: 'second' }));
  const second = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  const later = new Collected();
  await second.run({ eachMessage: (message) => later.push(message.tags) });
  assert.deepEqual(await later.until(5), Array(5).fill('second'));
});

test('eachBatch gets many at a time, and what fails comes again', async (t) => {
  const { broker, client } = await cluster(t);
  const topic = unique('T');
  await filled(client, topic, 100);
  const consumer = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  const [got, errors] = [new Collected(), new Collected()];
  consumer.on('handlerError', (error, messages) => errors.push([error.message, messages.length]));
  let failed = 0;
  await consumer.run({
    batchSize: 16,
    eachBatch: (messages) => {
      assert.ok(messages.length >= 1 && messages.length <= 16);
      if (failed === 0) {
        failed = messages.length;
        throw new Error('not now');
      }
      // It may do with its array what it likes.
      while (messages.length > 0) got.push(messages.shift().body.toString());
    },
  });
  const [[text, count]] = await errors.until(1);
  assert.deepEqual([text, count], ['not now', failed]);
  await got.until(100 - failed);
  await comesAgain(broker, got, 100);
  assert.deepEqual([...got.values].sort(), all(100));
  await consumer.close();
  const { offsets } = await client.admin.consumeStats('g', topic);
  assert.equal(offsets.reduce((sum, { consumerOffset }) => sum + consumerOffset, 0), 100);
});

/** Retries are stored a moment after the handler failed: the clock is turned until they are there. */
async function comesAgain(broker, got, count) {
  const stop = turning(broker);
  try {
    await got.until(count);
  } finally {
    stop();
  }
}

test('a callback that throws anything, or answers nonsense, gets its message again', async (t) => {
  const { broker, client } = await cluster(t);
  const topic = unique('T');
  await filled(client, topic, 1);
  const consumer = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  const ways = [
    () => { throw undefined; },
    () => Promise.reject(null),
    async () => { throw { toString() { throw new Error('twice'); } }; },
    () => 'NONSENSE',
    () => ({ delayLevel: 'high' }),
    () => ({ delayLevel: 2 ** 40 }),
    () => 'RECONSUME_LATER',
    () => ({ delayLevel: 1 }),
    () => 'CONSUME_SUCCESS',
  ];
  const [calls, errors] = [new Collected(), new Collected()];
  consumer.on('handlerError', () => errors.push(1));
  await consumer.run({
    eachMessage: (message) => {
      calls.push(message.reconsumeTimes);
      return ways[message.reconsumeTimes]();
    },
  });
  await comesAgain(broker, calls, 9);
  assert.deepEqual(calls.values, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(errors.values.length, 6);
});

test('as an async iterator; unanswered messages are not lost', async (t) => {
  const { broker, client } = await cluster(t);
  const topic = unique('T');
  await filled(client, topic, 20);
  const consumer = await client.pushConsumer({
    consumerGroup: 'g', subscriptions: { [topic]: '*' }, awaitTerminationMillisWhenShutdown: 0, ...FROM_FIRST,
  });
  const seen = [];
  for await (const message of consumer) {
    seen.push(message.body.toString());
    if (seen.length === 10) break; // The tenth is not answered.
    for (const level of [NaN, 1.5, 2 ** 40, 'soon', null, {}]) assert.throws(() => message.retryLater(level), ConfigError);
    message.ack();
    message.retryLater(); // The first answer counts.
  }
  await consumer.close();
  const rest = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  const got = new Collected();
  await rest.run({ eachMessage: (message) => got.push(message.body.toString()) });
  await comesAgain(broker, got, 11);
  assert.deepEqual([...seen.slice(0, 9), ...got.values].sort(), all(20));
});

test('orderly: the messages of a key in order, suspended and not overtaken', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  const producer = await client.producer({ producerGroup: 'p', ...PATIENT });
  for (let at = 0; at < 50; at++) await producer.sendOrdered({ topic, body: `${at % 5}-${Math.floor(at / 5)}` }, `k${at % 5}`);
  const consumer = await client.pushConsumer({
    consumerGroup: 'g', subscriptions: { [topic]: '*' }, orderly: true, ...FROM_FIRST,
  });
  const got = new Collected();
  const suspended = new Set();
  const failures = [{ suspendMs: 10 }, 'nonsense', 'throw', 'SUSPEND_CURRENT_QUEUE_A_MOMENT', 7n];
  consumer.on('handlerError', () => {});
  await consumer.run({
    eachMessage: async (message) => {
      const body = message.body.toString();
      const failure = failures[body[0]];
      if (body.endsWith('-3') && !suspended.has(body)) {
        suspended.add(body);
        if (failure === 'throw') throw new Error('not yet');
        return failure;
      }
      got.push(body);
      return 'SUCCESS';
    },
  });
  const values = await got.until(50);
  for (const key of '01234') {
    assert.deepEqual(values.filter((body) => body[0] === key), Array.from({ length: 10 }, (_, at) => `${key}-${at}`));
  }
  assert.equal(suspended.size, 5);
});

test('broadcasting: every member gets everything', async (t) => {
  const { broker, client } = await cluster(t);
  const { Client } = await import('ferrocket');
  const other = await Client.connect({ namesrvAddr: broker.namesrvAddr, instanceName: unique('other') });
  t.after(() => other.close());
  const topic = unique('T');
  await client.admin.createTopic({ topic });
  const everybody = await Promise.all([client, other].map(async (one) => {
    const got = new Collected();
    const consumer = await one.pushConsumer({
      consumerGroup: 'g', subscriptions: { [topic]: '*' }, messageModel: 'BROADCASTING', ...FROM_FIRST,
    });
    await consumer.run({ eachMessage: (message) => got.push(message.body.toString()) });
    return got;
  }));
  await filled(client, topic, 30);
  for (const got of everybody) assert.deepEqual([...(await got.until(30))].sort(), all(30));
});

test('by tag and by SQL92, subscribed before and while it runs', async (t) => {
  const { client } = await cluster(t, { enablePropertyFilter: true });
  const [tagged, measured] = [unique('T'), unique('S')];
  await filled(client, tagged, 30, (at) => ({ tags: 'abc'[at % 3] }));
  await filled(client, measured, 30, (at) => ({ properties: { size: String(at) } }));
  const consumer = await client.pushConsumer({
    consumerGroup: 'g', subscriptions: { [tagged]: 'a || b' }, ...FROM_FIRST,
  });
  const got = new Collected();
  await consumer.run({ eachMessage: (message) => got.push(message.topic) });
  await got.until(20);
  await consumer.subscribe(measured, { sql: 'size >= 25' });
  const topics = await got.until(25);
  assert.equal(topics.filter((topic) => topic === measured).length, 5);
  await consumer.unsubscribe(tagged);
});

test('a suspended consumer pulls nothing until it is resumed; a run ends with its signal', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  await client.admin.createTopic({ topic });
  const consumer = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  const got = new Collected();
  await consumer.suspend();
  const stop = new AbortController();
  await consumer.run({ eachMessage: (message) => got.push(message.body.toString()), signal: stop.signal });
  await assert.rejects(consumer.run({ eachMessage() {} }), ConfigError);
  await filled(client, topic, 3);
  await consumer.resume();
  await got.until(3);
  stop.abort();
});

test('a thread in which too many operations wait still consumes, and closes', async (t) => {
  const { client } = await cluster(t);
  const [topic, turns] = [unique('T'), unique('O')];
  await filled(client, topic, 30);
  await filled(client, turns, 30);
  const consumer = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  const orderly = await client.pushConsumer({
    consumerGroup: 'o', subscriptions: { [turns]: '*' }, orderly: true, ...FROM_FIRST,
  });
  const lites = await Promise.all(Array.from({ length: 64 }, (_, at) => client.litePullConsumer({ consumerGroup: `l${at}` })));
  const poll = (_, at) => lites[at % lites.length].poll({ timeout: 600_000 });
  const waiting = Promise.allSettled(Array.from({ length: 65_536 }, poll));
  await assert.rejects(poll(undefined, 0), FlowControlError);
  const got = new Collected();
  for (const one of [consumer, orderly]) await one.run({ eachMessage: (message) => void got.push(message.body.toString()) });
  assert.deepEqual([...(await got.until(60))].sort(), [...all(30), ...all(30)].sort());
  await client.close();
  const ends = await waiting;
  assert.ok(ends.every(({ reason }) => reason instanceof ClosedError), JSON.stringify(ends[0]));
});

test('events tell of rebalances and connections', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  await client.admin.createTopic({ topic, readQueueNums: 2, writeQueueNums: 2 });
  const rebalanced = new Collected();
  client.on('rebalanced', (event) => event.topic === topic && rebalanced.push(event));
  const iterated = new Collected();
  const stop = new AbortController();
  const watching = (async () => {
    for await (const event of client.events({ signal: stop.signal })) iterated.push(event.type);
  })();
  const consumer = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' } });
  const [event] = await rebalanced.until(1);
  assert.deepEqual([event.type, event.group, event.queues.length], ['rebalanced', 'g', 2]);
  await iterated.until(1);
  stop.abort();
  await watching;
  await consumer.close();
});

test('events that nobody reads are bounded, and end nobody who reads', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const { client } = await cluster(t);
  const reading = client.events();
  const slow = client.events();
  for (let round = 0; round < 200; round++) {
    client.events();
    // Those of the rounds before are gone once their generators are.
    if (round % 10 === 0) collect();
    await client.fetchQueues(unique('missing')).catch(() => {});
  }
  for (let number = 0; number < 300; number++) {
    const topic = unique('T');
    await client.admin.createTopic({ topic, readQueueNums: 1, writeQueueNums: 1 });
    await client.fetchQueues(topic);
    assert.equal((await reading.next()).done, false);
  }
  let told = 0;
  for await (const event of slow) {
    if (event.type !== 'missed') told++;
    else {
      assert.ok(event.events >= 300 - 256);
      break;
    }
  }
  assert.equal(told, 256);
});
