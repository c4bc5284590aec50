// The package as a TypeScript program sees it: compiled with --strict, then run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BrokerError,
  Client,
  FerrocketError,
  type ClientEvent,
  type ConsumeResult,
  type Delivery,
  type ErrorKind,
  type LocalTransactionState,
  type Message,
  type MessageExt,
  type MessageQueue,
  type SendResult,
  type SendStatus,
} from 'ferrocket';
import { Broker } from 'ferrocket/testing';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <_T extends true>(): void => {};

same<Same<SendStatus, 'SEND_OK' | 'FLUSH_DISK_TIMEOUT' | 'FLUSH_SLAVE_TIMEOUT' | 'SLAVE_NOT_AVAILABLE'>>();
same<Same<LocalTransactionState, 'COMMIT_MESSAGE' | 'ROLLBACK_MESSAGE' | 'UNKNOWN'>>();
same<Same<MessageExt['body'], Buffer>>();
same<Same<MessageExt['queueOffset'], number>>();
same<Same<SendResult['messageQueue'], MessageQueue>>();
same<Same<FerrocketError['code'], number | undefined>>();
same<Same<FerrocketError['kind'], ErrorKind>>();
same<Same<Extract<ClientEvent, { type: 'rebalanced' }>['queues'], MessageQueue[]>>();

const wrong = async (client: Client): Promise<void> => {
  // @ts-expect-error a body is missing
  const message: Message = { topic: 'T' };
  // @ts-expect-error no such setting
  await client.producer({ producerGroup: 'g', noSuchSetting: 1 });
  // @ts-expect-error a number, not a text
  await client.producer({ producerGroup: 'g', sendMsgTimeout: 'soon' });
  // @ts-expect-error no such word
  const result: ConsumeResult = 'MAYBE';
  const producer = await client.producer({ producerGroup: 'g' });
  // @ts-expect-error no queue would be any queue
  await producer.send({ topic: 'T', body: 'x' }, { queue: undefined });
  // @ts-expect-error it has its queue
  await producer.sendOrdered({ topic: 'T', body: 'x' }, 'key', { orderedBy: 'another' });
  // @ts-expect-error a check has to be there
  await client.transactionProducer({ producerGroup: 'g' });
  client.on('rebalanced', (event) => {
    // @ts-expect-error not in this event
    void event.msgId;
  });
  // @ts-expect-error no such event
  client.on('nothing', () => {});
  void [message, result];
};
void wrong;

test('await using, for await and the types hold at run time', async () => {
  await using broker = await Broker.start({ autoCreateTopicEnable: true });
  await using client = await Client.connect({ namesrvAddr: broker.namesrvAddr });
  await using producer = await client.producer({ producerGroup: 'p', sendMsgTimeout: 60_000 });
  const sent: SendResult = await producer.send({ topic: 'Typed', body: new Uint8Array([1, 2, 3]) }, { timeout: 60_000 });
  assert.equal(sent.sendStatus satisfies SendStatus, 'SEND_OK');
  await using consumer = await client.pushConsumer({
    consumerGroup: 'g',
    subscriptions: { Typed: '*', Measured: { sql: 'size > 5' } },
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  });
  const bodies: Buffer[] = [];
  for await (const delivery of consumer) {
    const taken: Delivery = delivery;
    bodies.push(taken.body);
    taken.ack();
    break;
  }
  assert.deepEqual(bodies, [Buffer.from([1, 2, 3])]);
  try {
    await client.admin.viewMessage('Typed', sent.offsetMsgId.replace(/.{8}$/, 'FFFFFFF0'));
    assert.fail('there is no such message');
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    const code: number | undefined = error.code;
    assert.equal(typeof code, 'number');
  }
});
