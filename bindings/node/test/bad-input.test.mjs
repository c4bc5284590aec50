// Whatever a program gets wrong ends in an error of this package, and the process goes on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, ClosedError, ConfigError, FerrocketError, InvalidMessageError, setLogger } from 'ferrocket';
import { Broker } from 'ferrocket/testing';
import { cluster, Collected, unique } from './support.mjs';

const NONSENSE = [undefined, null, 7, 'text', Symbol('s'), () => {}, 7n, [], NaN];

test('settings', async () => {
  for (const options of [undefined, null, 7, 'ns:9876']) await assert.rejects(Client.connect(options), ConfigError);
  for (const options of [
    {}, { namesrvAddr: 'no port' }, { namesrvAddr: 7 }, { namesrvAddr: {} }, { namesrvAddr: 'a:1', noSuchSetting: 1 },
    { namesrvAddr: 'a:1', heartbeatBrokerInterval: 'often' }, { namesrvAddr: 'a:1', heartbeatBrokerInterval: -1 },
    { namesrvAddr: 'a:1', heartbeatBrokerInterval: 1e300 }, { namesrvAddr: 'a:1', namespace: () => {} },
    { namesrvAddr: 'a:1', clientIP: '\u0000' }, { namesrvAddr: 'a\ud800:1' },
  ]) {
    await assert.rejects(Client.connect(options), ConfigError, JSON.stringify(options));
  }
  await assert.rejects(Client.connect({ namesrvAddr: 'a:1', heartbeatBrokerIntervall: 1 }), /heartbeatBrokerInterval/);
  await assert.rejects(Broker.start({ noSuchSetting: 1 }), ConfigError);
  await assert.rejects(setLogger({}), ConfigError);
  await assert.rejects(setLogger(console, 'loud'), ConfigError);
});

test('messages', async (t) => {
  const { client } = await cluster(t);
  const producer = await client.producer({ producerGroup: 'p' });
  const topic = unique('T');
  const bad = [
    ...NONSENSE,
    ...NONSENSE.filter((body) => typeof body !== 'string').map((body) => ({ topic, body })),
    ...NONSENSE.filter((name) => typeof name !== 'string').map((name) => ({ topic: name, body: '' })),
    { topic, body: 'half a pair \ud800' }, { topic: 'T\udc00', body: 'x' }, { topic, body: 'x', tags: '\ud800' },
    { topic: '', body: 'x' }, { topic: 'no spaces', body: 'x' }, { topic: 'x'.repeat(1000), body: 'x' },
    { topic, body: 'x', keys: 'one' }, { topic, body: 'x', keys: [1] }, { topic, body: 'x', keys: [1n] }, { topic, body: 'x', properties: { a: 1 } },
    { topic, body: 'x', delayLevel: -1 }, { topic, body: 'x', delayLevel: 1.5 }, { topic, body: 'x', delayLevel: 2 ** 40 },
    { topic, body: 'x', flag: 2 ** 31 }, { topic, body: 'x', deliverAt: 7 }, { topic, body: 'x', deliverAt: new Date(NaN) },
    { topic, body: 'x', deliverAfter: -1 }, { topic, body: 'x', deliverAfter: Infinity }, { topic, body: 'x', noField: 1 },
    { topic, body: '' }, { topic, body: Buffer.alloc(5 << 20) }, { topic, body: Buffer.alloc(100 << 20) },
    { topic, body: 'x', tags: 'x'.repeat(100_000) },
  ];
  for (const message of bad) {
    for (const send of [
      () => producer.send(message), () => producer.enqueue(message), () => producer.sendOneway(message),
      () => producer.sendBatch([message]),
    ]) {
      await assert.rejects(send(), (error) => {
        assert.ok(error instanceof FerrocketError, String(error?.stack));
        assert.ok(['InvalidMessage', 'Config'].includes(error.kind), `${error.kind}: ${error}`);
        return true;
      });
    }
  }
  for (const messages of [...NONSENSE.filter((value) => !Array.isArray(value)), [], [null], [{ topic, body: 'x' }, { topic: unique('U'), body: 'x' }]]) {
    await assert.rejects(producer.sendBatch(messages), FerrocketError);
    await assert.rejects(producer.enqueueBatch(messages), FerrocketError);
  }
  const message = { topic, body: 'x' };
  for (const queue of [undefined, 7, 'q', { topic: 'other', brokerName: 'b', queueId: 0 }, { queueId: 2 ** 40 }]) {
    await assert.rejects(producer.sendTo(message, queue), FerrocketError);
  }
  for (const key of [undefined, 7, {}]) await assert.rejects(producer.sendOrdered(message, key), FerrocketError);
  for (const timeout of [undefined, -1, NaN, 'soon', 1e300]) await assert.rejects(producer.request(message, { timeout }), FerrocketError);
  for (const request of [undefined, null, {}, { properties: {} }]) await assert.rejects(producer.reply(request, 'x'), InvalidMessageError);
  await assert.rejects(producer.request(message), FerrocketError);
  for (const args of [[], ['T'], ['T', 'nonsense'], [7, 8]]) await assert.rejects(producer.recall(...args), FerrocketError);
  assert.equal((await producer.send({ topic, body: 'still at work' })).sendStatus, 'SEND_OK');
});

test('consumers', async (t) => {
  const { client } = await cluster(t);
  const topic = unique('T');
  for (const options of [
    {}, { consumerGroup: 'g' }, { consumerGroup: 7, subscriptions: {} }, { consumerGroup: 'a b', subscriptions: { [topic]: '*' } },
    { consumerGroup: 'g', subscriptions: 'T' }, { consumerGroup: 'g', subscriptions: { T: 7n } }, { consumerGroup: 'g', subscriptions: { [topic]: 7 } },
    { consumerGroup: 'g', subscriptions: { [topic]: { sql: '' } } }, { consumerGroup: 'g', subscriptions: { [topic]: '*' }, pullBatchSize: 0 },
    { consumerGroup: 'g', subscriptions: { [topic]: '*' }, messageModel: 'SOMEHOW' },
  ]) {
    await assert.rejects(client.pushConsumer(options), ConfigError, JSON.stringify(Object.keys(options)));
  }
  const consumer = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' } });
  for (const options of [
    undefined, null, {}, { eachMessage: 7 }, { eachMessage() {}, eachBatch() {} }, { eachMessage() {}, concurrency: 0 },
    { eachMessage() {}, concurrency: 1001 }, { eachMessage() {}, concurrency: Object.create(null) }, { eachBatch() {}, batchSize: 1.5 }, { eachBatch() {}, batchSize: 513 },
  ]) {
    await assert.rejects(consumer.run(options), ConfigError);
  }
  await assert.rejects(client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' } }), ConfigError);
  const lite = await client.litePullConsumer({ consumerGroup: 'l' });
  for (const timeout of [-1, NaN, 'soon', 1e300, null]) await assert.rejects(lite.poll({ timeout }), FerrocketError);
  await assert.rejects(lite.poll({ timeout: 'x' }), FerrocketError);
  for (const queues of [[], 7, [7], null]) await assert.rejects(lite.assign(queues), FerrocketError);
  await assert.rejects(client.transactionProducer({ producerGroup: 'x' }), ConfigError);
  const transactions = await client.transactionProducer({ producerGroup: 'x', checkLocalTransaction() {} });
  await assert.rejects(transactions.sendInTransaction({ topic, body: 'x' }), ConfigError);
  for (const create of [() => client.admin.createTopic(), () => client.admin.createGroup(null), () => client.admin.createTopic({ topic, perm: 'all' })]) {
    await assert.rejects(create(), ConfigError);
  }
  await assert.rejects(client.producer({}), ConfigError);
  await assert.rejects(client.producer(), ConfigError);
});

test('what is closed', async (t) => {
  const { broker, client } = await cluster(t);
  const topic = unique('T');
  const producer = await client.producer({ producerGroup: 'p' });
  const push = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' } });
  const lite = await client.litePullConsumer({ consumerGroup: 'l' });
  const message = { topic, body: 'x' };
  await producer.close();
  await producer.close();
  await assert.rejects(producer.send(message), ClosedError);
  await assert.rejects(producer.enqueue(message), ClosedError);
  const other = await client.producer({ producerGroup: 'p2' });
  await client.close();
  await client.close();
  for (const call of [
    () => other.send(message), () => other.enqueue(message), () => lite.poll(), () => client.fetchQueues(topic), () => client.admin.topics(),
    () => client.producer({ producerGroup: 'p' }), () => client.events().next(), () => client.events(null).next(),
  ]) {
    await assert.rejects(call(), ClosedError, String(call));
  }
  const got = new Collected();
  await push.run({ eachMessage: (one) => got.push(one) });
  for await (const one of lite) got.push(one);
  await push.close();
  await lite.close();
  assert.deepEqual(got.values, []);
  await broker.close();
  await assert.rejects(broker.advance(1), ClosedError);
});
