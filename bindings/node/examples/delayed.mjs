// Sends messages that are delivered later.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node delayed.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const producer = await client.producer({ producerGroup: 'example-delayed' });
// Level 1 is a second, 18 two hours. Any time, as of brokers 5.0: deliverAfter (milliseconds) and deliverAt (a Date).
for (const delay of [{ delayLevel: 1 }, { deliverAfter: 1_500 }, { deliverAt: new Date(Date.now() + 2_000) }]) {
  const sent = await producer.send({ topic: 'TopicTest', body: `later: ${JSON.stringify(delay)}`, ...delay });
  console.log(`${sent.sendStatus}: to be delivered later, ${JSON.stringify(delay)}`);
}
await client.close();
