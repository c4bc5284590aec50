// Ends in the way that it is told; nothing but the end of the event loop ends it.
import { execFileSync } from 'node:child_process';
import { Client } from 'ferrocket';
import { Broker } from 'ferrocket/testing';

const [way, namesrvAddr] = process.argv.slice(2);
if (way === 'broker') {
  const broker = await Broker.start();
  const client = await Client.connect({ namesrvAddr: broker.namesrvAddr });
  const producer = await client.producer({ producerGroup: 'p', sendMsgTimeout: 60_000 });
  console.log((await producer.send({ topic: 'T', body: 'x' })).sendStatus);
} else if (way === 'listener') {
  const thrown = new Set();
  process.on('uncaughtException', (error) => thrown.add(error.message));
  const client = await Client.connect({ namesrvAddr });
  await client.admin.createTopic({ topic: way });
  let told;
  client.on('rebalanced', () => {
    told();
    throw new Error('on purpose');
  });
  for (const consumerGroup of ['l1', 'l2']) {
    const rebalanced = new Promise((resolve) => (told = resolve));
    const consumer = await client.pushConsumer({ consumerGroup, subscriptions: { [way]: '*' } });
    await consumer.run({ eachMessage() {} });
    await rebalanced;
  }
  await client.close();
  console.log(...thrown);
} else if (way === 'unread') {
  const client = await Client.connect({ namesrvAddr });
  const events = client.events();
  // Nobody asks for these.
  for (let round = 0; round < 10; round++) client.events();
  const producer = await client.producer({ producerGroup: 'p', sendMsgTimeout: 60_000 });
  await producer.send({ topic: 'T', body: 'x' });
  console.log((await events.next()).done);
} else if (way === 'opening') {
  const client = await Client.connect({ namesrvAddr });
  await client.admin.createTopic({ topic: way });
  const opening = client.pushConsumer({ consumerGroup: way, subscriptions: { [way]: '*' }, orderly: true });
  // This thread stands still until the broker knows the consumer, so that the close comes before it hears of it.
  execFileSync(process.execPath, [process.argv[1], 'opened', namesrvAddr]);
  await client.close();
  console.log('closed');
  await (await opening).run({ eachMessage() {} });
} else if (way === 'opened') {
  const client = await Client.connect({ namesrvAddr });
  while (!(await client.admin.consumerConnection('opening', 'opening')));
  await client.close();
} else {
  const topic = `ending-${way}`;
  const client = await Client.connect({ namesrvAddr });
  client.on('rebalanced', () => {});
  const producer = await client.transactionProducer({ producerGroup: way, sendMsgTimeout: 60_000, checkLocalTransaction: () => 'UNKNOWN' });
  await producer.send({ topic, body: way });
  console.log('sent');
  if (way === 'waiting') {
    const consumer = await client.pushConsumer({
      consumerGroup: 'g', subscriptions: { [topic]: '*' }, consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    });
    // Nobody awaits this: the running consumer alone keeps the process.
    void consumer.run({
      eachMessage: (message) => {
        console.log(`received ${message.body}`);
        setImmediate(async () => {
          await client.close();
          console.log('closed');
        });
      },
    });
  } else {
    const lite = await client.litePullConsumer({ consumerGroup: 'l', subscriptions: { [topic]: '*' } });
    await lite.poll({ timeout: 10 });
    if (way === 'closed') {
      await client.close();
      console.log('closed');
    }
  }
}
