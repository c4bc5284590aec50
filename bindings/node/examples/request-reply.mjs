// Asks a question through a topic and waits for the answer of whoever consumes it.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node request-reply.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
const producer = await client.producer({ producerGroup: 'example-request-reply' });
// ANCHOR: reply
// The side that answers, usually another program. Any producer may send the reply.
const answering = await client.pushConsumer({
  consumerGroup: 'example-answering',
  subscriptions: { RequestTopic: '*' },
  consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
});
await answering.run({
  eachMessage: async (question) => {
    await producer.reply(question, `${question.body.length} bytes`);
  },
});
// ANCHOR_END: reply
const reply = await producer.request({ topic: 'RequestTopic', body: 'how long am I?' }, { timeout: 30_000 });
console.log(`the answer: ${reply.body}`);
await client.close();
