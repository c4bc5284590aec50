// Every way to send.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClosedError, ConfigError, InvalidMessageError, NoRouteError, TimeoutError } from 'ferrocket';
import { cluster, Collected, FROM_FIRST, PATIENT, unique } from './support.mjs';

test('a sent message comes back as it was, with its receipt', async (t) => {
  const { client } = await cluster(t);
  const producer = await client.producer({ producerGroup: 'p', ...PATIENT });
  const topic = unique('Orders');
  const body = Buffer.from([0, 1, 254, 255]);
  const sent = await producer.send({
    topic, body, tags: 'vip', keys: ['o-42', 'c-7'], flag: 9, properties: { region: 'north', 'ü': '雪' },
  });
  assert.equal(sent.sendStatus, 'SEND_OK');
  assert.equal(sent.messageQueue.topic, topic);
  const consumer = await client.litePullConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  let got = [];
  while (got.length === 0) got = await consumer.poll({ timeout: 60_000 });
  const [message] = got;
  assert.deepEqual(message.body, body);
  assert.equal(message.msgId, sent.msgId);
  assert.equal(message.queueOffset, sent.queueOffset);
  assert.deepEqual(message.messageQueue, sent.messageQueue);
  assert.deepEqual([message.tags, message.keys, message.flag], ['vip', ['o-42', 'c-7'], 9]);
  assert.deepEqual([message.properties.region, message.properties['ü']], ['north', '雪']);
  assert.ok(message.storeTimestamp >= message.bornTimestamp && message.bornTimestamp > Date.now() - 60_000);
  assert.match(message.bornHost, /^127\.0\.0\.1:\d+$/);
  assert.equal(message.reconsumeTimes, 0);
  assert.equal(JSON.parse(JSON.stringify(message)).bodyLength, 4);
});

test('words that JavaScript could take for numbers, and properties without a prototype', async (t) => {
  const { client } = await cluster(t);
  const producer = await client.producer({ producerGroup: 'p', ...PATIENT });
  const topic = unique('T');
  const { groups } = /(?<region>\w+)/.exec('north');
  await producer.send({ topic, body: 'x', tags: 'Infinity', keys: ['-Infinity'], properties: groups });
  const consumer = await client.litePullConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  let got = [];
  while (got.length === 0) got = await consumer.poll({ timeout: 60_000 });
  assert.deepEqual([got[0].tags, got[0].keys, got[0].properties.region], ['Infinity', ['-Infinity'], 'north']);
});

test('enqueued messages are stored in the order of the calls', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  await client.admin.createTopic({ topic, readQueueNums: 1, writeQueueNums: 1 });
  const producer = await client.producer({ producerGroup: 'p', ...PATIENT });
  const receipts = await Promise.all(
    Array.from({ length: 500 }, (_, at) => producer.enqueue({ topic, body: String(at) })),
  );
  assert.deepEqual(receipts.map((receipt) => receipt.queueOffset), Array.from({ length: 500 }, (_, at) => at));
});

test('what is under way when the producer is closed is stored', async (t) => {
  const { client } = await cluster(t);
  for (const way of ['send', 'enqueue', 'sendOneway']) {
    const producer = await client.producer({ producerGroup: 'p', ...PATIENT });
    const all = Array.from({ length: 1000 }, () => producer[way]({ topic: 'T', body: 'x' }));
    const closed = producer.close();
    await assert.rejects(producer.send({ topic: 'T', body: 'x' }), ClosedError);
    await Promise.all(all);
    await closed;
  }
});

test('ordered, to a queue, oneway and in a batch', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  await client.admin.createTopic({ topic, readQueueNums: 4, writeQueueNums: 4 });
  const producer = await client.producer({ producerGroup: 'p', ...PATIENT });
  const queues = await producer.fetchQueues(topic);
  assert.equal(queues.length, 4);
  const ordered = [];
  for (let at = 0; at < 5; at++) ordered.push(await producer.sendOrdered({ topic, body: 'x' }, 'customer-7'));
  assert.equal(new Set(ordered.map((sent) => sent.messageQueue.queueId)).size, 1);
  assert.deepEqual((await producer.sendTo({ topic, body: 'x' }, queues[3])).messageQueue, queues[3]);
  const batch = await producer.sendBatch(Array.from({ length: 10 }, (_, at) => ({ topic, body: `b${at}` })));
  assert.equal(batch.msgId.split(',').length, 10);
  await producer.sendOneway({ topic, body: 'gone' });
  // It is there soon; nobody is told when.
  let stored = 0;
  while (stored < 17) {
    const stats = await client.admin.topicStats(topic);
    stored = stats.reduce((sum, { maxOffset }) => sum + maxOffset, 0);
  }
  assert.equal(stored, 17);
});

test('each send has terms of its own', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  await client.admin.createTopic({ topic, readQueueNums: 4, writeQueueNums: 4 });
  const producer = await client.producer({ producerGroup: 'p', ...PATIENT });
  const queue = (await producer.fetchQueues(topic))[2];
  const message = { topic, body: 'x' };
  const first = await producer.send(message, { queue, timeout: 60_000 });
  await producer.sendOneway(message, { queue });
  const receipts = await Promise.all(Array.from({ length: 8 }, () => producer.enqueue(message, { queue })));
  const batch = await producer.sendBatch([message, message], { queue, timeout: undefined });
  const batches = await Promise.all([1, 2].map(() => producer.enqueueBatch([message, message, message], { queue })));
  assert.deepEqual(
    [first, ...receipts, batch, ...batches].map((sent) => [sent.messageQueue, sent.queueOffset]),
    [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15].map((offset) => [queue, offset]),
  );
  const ordered = await producer.sendOrdered(message, 'order-7', { timeout: 60_000 });
  for (const sent of await Promise.all(Array.from({ length: 4 }, () => producer.enqueue(message, { orderedBy: 'order-7' })))) {
    assert.deepEqual(sent.messageQueue, ordered.messageQueue);
  }
  const other = { topic: 'other', brokerName: 'b', queueId: 0 };
  for (const [options, kind] of [
    [{ queue: other }, InvalidMessageError], [{ queue, orderedBy: 'order-7' }, ConfigError], [{ timeout: 0 }, ConfigError],
    [{ timeout: -1 }, ConfigError], [{ timeout: NaN }, ConfigError], [{ timeout: 'soon' }, ConfigError], [{ timeout: 1n }, ConfigError],
    // They would go anywhere, and their order be lost.
    [{ queue: undefined }, ConfigError], [{ orderedBy: null }, ConfigError], [{ orderedBy: 7 }, ConfigError], [{ key: 'x' }, ConfigError],
  ]) {
    for (const send of [
      () => producer.send(message, options), () => producer.enqueue(message, options),
      () => producer.sendOneway(message, options), () => producer.sendBatch([message], options),
      () => producer.enqueueBatch([message], options),
    ]) {
      await assert.rejects(send(), kind, String(Object.entries(options)));
    }
  }
});

test('delayed messages come when the clock says so', async (t) => {
  const { broker, client } = await cluster(t);
  const topic = unique('T');
  const producer = await client.producer({ producerGroup: 'p', ...PATIENT });
  await producer.send({ topic, body: 'late', delayLevel: 18 });
  await producer.send({ topic, body: 'now' });
  const consumer = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  const got = new Collected();
  await consumer.run({ eachMessage: (message) => got.push(message.body.toString()) });
  assert.deepEqual(await got.until(1), ['now']);
  await broker.advance(2 * 60 * 60 * 1000);
  assert.deepEqual(await got.until(2), ['now', 'late']);
});

test('a request gets its reply', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('Questions');
  await client.admin.createTopic({ topic });
  const producer = await client.producer({ producerGroup: 'p', ...PATIENT });
  const answering = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  await answering.run({
    eachMessage: async (question) => {
      await producer.reply(question, `re-${question.body}`);
    },
  });
  const reply = await producer.request({ topic, body: 'how?' }, { timeout: 30_000 });
  assert.equal(reply.body.toString(), 're-how?');
  await answering.close();
  await assert.rejects(producer.request({ topic, body: 'again?' }, { timeout: 50 }), TimeoutError);
  // What is no request has nowhere to go to.
  await assert.rejects(producer.reply(reply, 'x'), InvalidMessageError);
});

test('an AbortSignal gives up a wait, and a failed send brings its message back', async (t) => {
  const { client } = await cluster(t, { autoCreateTopicEnable: false });
  const producer = await client.producer({ producerGroup: 'p' });
  const message = { topic: unique('Missing'), body: 'b' };
  await assert.rejects(producer.send(message), (error) => {
    assert.ok(error instanceof NoRouteError);
    assert.deepEqual([error.kind, error.name, error.retryable], ['NoRoute', 'NoRouteError', true]);
    assert.equal(error.unsent[0], message);
    return true;
  });
  const topic = unique('Questions');
  await client.admin.createTopic({ topic });
  const controller = new AbortController();
  const asked = producer.request({ topic, body: 'anybody?' }, { timeout: 60_000, signal: controller.signal });
  controller.abort(new Error('enough'));
  await assert.rejects(asked, /enough/);
  await assert.rejects(producer.send(message, { signal: AbortSignal.abort(new Error('before')) }), /before/);
});
