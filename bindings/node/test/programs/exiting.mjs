// Exits while sends are under way and a consumer runs.
import { Client } from 'ferrocket';

const [way, namesrvAddr] = process.argv.slice(2);
const client = await Client.connect({ namesrvAddr });
// This is about exits, on a machine that may have other work.
const producer = await client.producer({ producerGroup: 'p', sendMsgTimeout: 60_000 });
const topic = 'exiting';
await producer.send({ topic, body: 'first' });
for (let at = 0; at < 100; at++) producer.enqueue({ topic, body: `${at}` }).catch(() => {});
if (way !== 'end') {
  const consumer = await client.pushConsumer({
    consumerGroup: `g-${process.pid}`, subscriptions: { [topic]: '*' }, consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  });
  let count = 0;
  await consumer.run({
    eachMessage: () => {
      if (++count < 10) return;
      if (way === 'exit') process.exit(7);
      if (way === 'throw') setImmediate(() => { throw new Error('on purpose'); });
      if (way === 'abandon') {
        process.exitCode = 3;
        void client.close();
      }
    },
  });
}
