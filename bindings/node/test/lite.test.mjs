// Lite pull consumers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClosedError, ConfigError, FerrocketError } from 'ferrocket';
import { cluster, FROM_FIRST, PATIENT, unique } from './support.mjs';

async function filled(client, topic, count) {
  const producer = await client.producer({ producerGroup: unique('p'), ...PATIENT });
  for (let at = 0; at < count; at++) await producer.enqueue({ topic, body: `m${at}` });
}

test('assigned queues are read, sought, paused and committed by hand', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  await client.admin.createTopic({ topic, readQueueNums: 1, writeQueueNums: 1 });
  await filled(client, topic, 10);
  const [queue] = await client.fetchQueues(topic);
  const consumer = await client.litePullConsumer({ consumerGroup: 'g', assign: [queue], autoCommit: false, ...FROM_FIRST });
  let assigned = [];
  while (assigned.length === 0) assigned = await consumer.assignment();
  assert.deepEqual(assigned, [queue]);
  await consumer.seek(queue, 'begin');
  const poll = async (count) => {
    const all = [];
    while (all.length < count) all.push(...(await consumer.poll({ timeout: 60_000 })));
    return all.map((message) => message.body.toString());
  };
  assert.deepEqual(await poll(10), Array.from({ length: 10 }, (_, at) => `m${at}`));
  await consumer.commit();
  assert.equal(await consumer.committed(queue), 10);
  await consumer.commit([{ queue, offset: 4 }]);
  assert.equal(await consumer.committed(queue), 4);
  await consumer.seek(queue, 7);
  assert.deepEqual(await poll(3), ['m7', 'm8', 'm9']);
  await consumer.seek(queue, new Date(0));
  assert.equal((await poll(10))[0], 'm0');
  assert.equal(await consumer.offsetForTimestamp(queue, new Date(0)), 0);
  await consumer.pause([queue]);
  await consumer.seek(queue, 'begin');
  assert.deepEqual(await consumer.poll({ timeout: 200 }), []);
  await consumer.resume([queue]);
  assert.equal((await poll(10)).length, 10);
  await consumer.seek(queue, 'end');
  for (const to of [1.5, -1, 11, 2 ** 60, 'middle', undefined, Object.create(null)]) await assert.rejects(consumer.seek(queue, to), ConfigError);
  await assert.rejects(consumer.offsetForTimestamp(queue, new Date(NaN)), FerrocketError);
  await assert.rejects(client.admin.resetOffset('g', topic, 'soon'), FerrocketError);
  assert.equal((await consumer.fetchQueues(topic)).length, 1);
});

test('a subscription as an async iterator, ended by closing', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  await filled(client, topic, 50);
  const consumer = await client.litePullConsumer({ consumerGroup: 'g', ...FROM_FIRST });
  await consumer.subscribe(topic);
  const seen = [];
  for await (const message of consumer) {
    seen.push(message.body.toString());
    if (seen.length === 50) void consumer.close();
  }
  assert.equal(new Set(seen).size, 50);
  await assert.rejects(consumer.poll(), ClosedError);
});

test('what a loop that ends has not reached is not committed', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  await filled(client, topic, 20);
  const settings = { consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST };
  const seen = [];
  for (const enough of [3, 20]) {
    const consumer = await client.litePullConsumer(settings);
    for await (const message of consumer) {
      seen.push(message.body.toString());
      if (seen.length === enough) break;
    }
    await consumer.close();
  }
  assert.equal(new Set(seen).size, 20);
});

test('a poll is given up by its signal, and at the close of the client', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  await client.admin.createTopic({ topic });
  const consumer = await client.litePullConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' } });
  await assert.rejects(consumer.poll({ timeout: 600_000, signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' });
  const last = assert.rejects(consumer.poll({ timeout: 600_000 }), ClosedError);
  await client.close();
  await last;
});
