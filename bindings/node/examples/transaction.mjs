// Sends messages that consumers get only if a local transaction was committed.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node transaction.mjs
import { Client } from 'ferrocket';

const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
// ANCHOR: send
const paid = new Set();
const producer = await client.transactionProducer({
  producerGroup: 'example-transaction',
  // Brokers ask when they did not hear how a transaction ended: look it up where the local work leaves it.
  checkLocalTransaction: (message) => (paid.has(message.transactionId) ? 'COMMIT_MESSAGE' : 'UNKNOWN'),
});
for (const order of ['paid', 'refused']) {
  const sent = await producer.sendInTransaction({ topic: 'TopicTest', body: order }, ({ transactionId }) => {
    if (order === 'refused') return 'ROLLBACK_MESSAGE';
    paid.add(transactionId);
    return 'COMMIT_MESSAGE';
  });
  console.log(`${order}: ${sent.localTransactionState} ${sent.sendStatus}`);
}
// ANCHOR_END: send
await client.close();
