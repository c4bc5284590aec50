// What an application asks and changes of its cluster.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrokerError, ConfigError } from 'ferrocket';
import { cluster, Collected, FROM_FIRST, unique } from './support.mjs';

test('topics, groups, progress and messages', async (t) => {
  const { client } = await cluster(t);
  const { admin } = client;
  const [topic, group] = [unique('Orders'), unique('billing')];
  await admin.createTopic({ topic, readQueueNums: 2, writeQueueNums: 2, perm: 6 });
  assert.ok((await admin.topics()).includes(topic));
  const route = await admin.topicRoute(topic);
  assert.deepEqual([route.queueDatas[0].writeQueueNums, route.brokerDatas.length], [2, 1]);
  const clusters = await admin.clusterInfo();
  assert.deepEqual(Object.values(clusters.clusterAddrTable).flat(), Object.keys(clusters.brokerAddrTable));
  await admin.createGroup({ group, retryMaxTimes: 3 });
  assert.equal(await admin.consumerConnection(group, topic), undefined);

  const producer = await client.producer({ producerGroup: 'p' });
  const sent = await producer.send({ topic, body: 'paid', keys: ['o-42'] });
  const stats = await admin.topicStats(topic);
  assert.equal(stats.length, 2);
  assert.equal(stats.find(({ messageQueue }) => messageQueue.queueId === sent.messageQueue.queueId).maxOffset, 1);
  assert.equal((await admin.viewMessage(topic, sent.offsetMsgId)).body.toString(), 'paid');
  assert.equal((await admin.queryMessage(topic, 'o-42'))[0].msgId, sent.msgId);
  assert.equal((await admin.queryMessageByUniqueKey(topic, sent.msgId)).body.toString(), 'paid');
  assert.equal(await admin.queryMessageByUniqueKey(topic, 'A'.repeat(32)), undefined);

  const consumer = await client.pushConsumer({ consumerGroup: group, subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  const got = new Collected();
  await consumer.run({ eachMessage: (message) => got.push(message.body.toString()) });
  await got.until(1);
  const connection = await admin.consumerConnection(group, topic);
  assert.equal(connection.connectionSet[0].clientId, client.clientId);
  assert.ok(connection.subscriptionTable[topic]);
  await consumer.close();
  const progress = await admin.consumeStats(group, topic);
  assert.equal(progress.offsets.reduce((sum, { consumerOffset }) => sum + consumerOffset, 0), 1);
  const reset = await admin.resetOffset(group, topic, new Date(0));
  assert.deepEqual(reset.map(({ offset }) => offset), [0, 0]);

  const none = sent.offsetMsgId.replace(/.{8}$/, 'FFFFFFF0');
  await assert.rejects(admin.viewMessage(topic, none), (error) => {
    assert.ok(error instanceof BrokerError);
    assert.equal(typeof error.code, 'number');
    assert.equal(typeof error.remark, 'string');
    return true;
  });

  await admin.deleteGroup(group);
  await admin.deleteTopic(topic);
  assert.ok(!(await admin.topics()).includes(topic));
  await assert.rejects(admin.createTopic({ topic: 'no spaces' }), ConfigError);
  await assert.rejects(admin.viewMessage(topic, 'nonsense'), ConfigError);
});
