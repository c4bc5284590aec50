// Signs in: for clusters with access control. ACCESS_KEY and SECRET_KEY name the account.
// With a cluster at hand (NAMESRV_ADDR, else 127.0.0.1:9876): node acl.mjs
import { BrokerError, Client } from 'ferrocket';

const { NAMESRV_ADDR: namesrvAddr = '127.0.0.1:9876', ACCESS_KEY: accessKey, SECRET_KEY: secretKey } = process.env;
const client = await Client.connect({ namesrvAddr, accessKey, secretKey });
const producer = await client.producer({ producerGroup: 'example-acl' });
try {
  console.log((await producer.send({ topic: 'TopicTest', body: 'signed' })).sendStatus);
} catch (error) {
  if (!(error instanceof BrokerError)) throw error;
  console.log(`refused with code ${error.code}: ${error.remark}`);
}
await client.close();
