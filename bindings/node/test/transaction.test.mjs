// Transactions and their checks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cluster, Collected, FROM_FIRST, PATIENT, turning, unique } from './support.mjs';

test('committed messages arrive, others do not, and checks decide what is open', async (t) => {
  const { broker, client } = await cluster(t);
  const topic = unique('T');
  await client.admin.createTopic({ topic });
  const checked = new Collected();
  const producer = await client.transactionProducer({
    producerGroup: 'tx',
    ...PATIENT,
    checkLocalTransaction: (message) => {
      checked.push(message.body.toString());
      assert.ok(message.transactionId);
      if (message.body.toString() === 'open') return 'COMMIT_MESSAGE';
      throw new Error('cannot say');
    },
  });
  const consumer = await client.pushConsumer({ consumerGroup: 'g', subscriptions: { [topic]: '*' }, ...FROM_FIRST });
  const got = new Collected();
  await consumer.run({ eachMessage: (message) => got.push(message.body.toString()) });
  const send = (body, local) => producer.sendInTransaction({ topic, body }, local);
  const paid = await send('paid', async (transaction) => {
    assert.equal(transaction.message.body, 'paid');
    assert.equal(transaction.half.sendStatus, 'SEND_OK');
    return 'COMMIT_MESSAGE';
  });
  assert.deepEqual([paid.sendStatus, paid.localTransactionState], ['SEND_OK', 'COMMIT_MESSAGE']);
  assert.equal((await send('refused', () => 'ROLLBACK_MESSAGE')).localTransactionState, 'ROLLBACK_MESSAGE');
  assert.equal((await send('open', () => 'UNKNOWN')).localTransactionState, 'UNKNOWN');
  const thrown = new Error('the database is gone');
  const failed = await send('failed', () => { throw thrown; });
  assert.deepEqual([failed.localTransactionState, failed.failure], ['UNKNOWN', thrown]);
  assert.ok((await send('nonsense', () => 'MAYBE')).failure instanceof TypeError);
  const late = await client.transactionProducer({ producerGroup: 'late', checkLocalTransaction: () => 'UNKNOWN' });
  const done = await late.sendInTransaction({ topic, body: 'late' }, async () => {
    await late.close();
    return 'COMMIT_MESSAGE';
  });
  assert.equal(done.localTransactionState, 'COMMIT_MESSAGE');
  assert.deepEqual(await got.until(1), ['paid']);
  t.after(turning(broker));
  assert.deepEqual([...(await got.until(2))].sort(), ['open', 'paid']);
  await checked.until(3);
  assert.ok(checked.values.includes('failed') && checked.values.includes('nonsense'));
  // The same producer sends plainly, too.
  await producer.send({ topic, body: 'plain' });
  await got.until(3);
});
