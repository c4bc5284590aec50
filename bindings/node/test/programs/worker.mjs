// A thread that sends and consumes.
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { Client } from 'ferrocket';

const { way, namesrvAddr } = workerData;
const client = await Client.connect({ namesrvAddr, instanceName: `worker-${process.pid}-${threadId}` });
const producer = await client.producer({ producerGroup: 'p', sendMsgTimeout: 60_000 });
const topic = `worker-${threadId}`;
await Promise.all(Array.from({ length: 20 }, (_, at) => producer.send({ topic, body: `${at}` })));
const consumer = await client.pushConsumer({
  consumerGroup: `g-${threadId}`, subscriptions: { [topic]: '*' }, consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
  orderly: way === 'silent', awaitTerminationMillisWhenShutdown: 600_000,
});
const stop = new AbortController();
let count = 0;
await consumer.run({
  signal: stop.signal,
  eachMessage: async () => {
    if (way === 'silent') {
      parentPort.postMessage(threadId);
      return new Promise(() => {});
    }
    if (++count !== 20) return;
    parentPort.postMessage(count);
    if (way === 'closed') setImmediate(() => void client.close());
    if (way === 'forgotten') stop.abort();
    if (way === 'forever') for (;;) await producer.send({ topic: `${topic}-more`, body: 'x' });
  },
});
