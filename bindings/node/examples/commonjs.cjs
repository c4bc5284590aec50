// The same from CommonJS. With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node commonjs.cjs
const { Client } = require('ferrocket');

async function main() {
  const client = await Client.connect({ namesrvAddr: process.env.NAMESRV_ADDR ?? '127.0.0.1:9876' });
  const producer = await client.producer({ producerGroup: 'example-commonjs' });
  const sent = await producer.send({ topic: 'TopicTest', body: 'from CommonJS' });
  console.log(sent.sendStatus);
  await client.close();
}

main();
