// Sends messages, one after another, and prints the broker's receipts.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node producer.mjs
// ANCHOR: program
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
// ANCHOR: send
const producer = await client.producer({ producerGroup: 'example-producer' });
for (let number = 0; number < 10; number++) {
  const sent = await producer.send({
    topic: 'TopicTest',
    tags: 'TagA',
    keys: [`order-${number}`],
    body: `Hello, RocketMQ ${number}`,
  });
  console.log(`${sent.sendStatus} ${sent.msgId} in queue ${sent.messageQueue.queueId} at ${sent.queueOffset}`);
}
// ANCHOR_END: send
await client.close();
// ANCHOR_END: program
