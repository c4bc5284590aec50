// What the boundary costs: messages a second, and memory over a run. With the package installed:
//
//   node bench.mjs [--messages 400000] [--seconds 60] [--namesrv ADDR]
//
// Without ADDR the broker is in this process and shares its cores.
import { parseArgs } from 'node:util';
import { Client } from 'ferrocket';
import { Broker } from 'ferrocket/testing';

const { values } = parseArgs({
  options: { messages: { type: 'string', default: '400000' }, seconds: { type: 'string', default: '60' }, namesrv: { type: 'string' } },
});
const [MESSAGES, SECONDS] = [Number(values.messages), Number(values.seconds)];
const BODY = Buffer.alloc(128, 'x');
const UNDER_WAY = 2_000;

const broker = values.namesrv ? undefined : await Broker.start();
const client = await Client.connect({ namesrvAddr: values.namesrv ?? broker.namesrvAddr });
const producer = await client.producer({ producerGroup: 'bench' });
const run = `${Date.now()}`;

/** Calls `each` so many times, a number of them under way at once. */
async function paced(count, each) {
  const started = clock();
  let next = 0;
  const worker = async () => {
    while (next < count) {
      next++;
      await each();
    }
  };
  await Promise.all(Array.from({ length: Math.min(UNDER_WAY, count) }, worker));
  return rate(count, started);
}

/** Of the process from now on. */
const clock = () => ({ at: performance.now(), cpu: process.cpuUsage() });

/** Messages a second, and what each took of all cores, the broker's share with it where that is in this process. */
function rate(count, { at, cpu }) {
  const { user, system } = process.cpuUsage(cpu);
  const speed = Math.round((count / (performance.now() - at)) * 1000);
  return `${speed.toLocaleString('en').padStart(10)} a second, ${((user + system) / count).toFixed(1).padStart(6)} us CPU each`;
}

async function topic(name) {
  const topic = `bench-${name}-${run}`;
  await client.admin.createTopic({ topic, readQueueNums: 8, writeQueueNums: 8 });
  return topic;
}

/** A consumer that finds them all there. */
async function consumed(topic, count, options, settings = {}) {
  const consumer = await client.pushConsumer({
    consumerGroup: `bench-${Math.random().toString(36).slice(2)}`, subscriptions: { [topic]: '*' },
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET', pullBatchSize: 1024, pullThresholdForQueue: 20_000, ...settings,
  });
  let [seen, started] = [0, undefined];
  await new Promise((resolve) => {
    const told = (messages) => {
      if (seen === 0) started = clock();
      seen += messages;
      if (seen >= count) resolve();
    };
    void consumer.run(options(told));
  });
  const speed = rate(count, started);
  await consumer.close();
  return speed;
}

const filled = await topic('filled');
const print = (what, value) => console.log(`${what.padEnd(46)} ${value}`);
print('sends awaited one by one', await serial(2_000));
print(`sends pipelined with enqueue, ${UNDER_WAY} under way`, await paced(MESSAGES, () => producer.enqueue({ topic: filled, body: BODY })));
print('consumed with eachBatch', await consumed(filled, MESSAGES, (count) => ({ eachBatch: (messages) => count(messages.length) })));
print('consumed with eachBatch, bodies read', await consumed(filled, MESSAGES, (count) => ({
  eachBatch: (messages) => {
    let bytes = 0;
    for (const message of messages) bytes += message.body.length;
    count(messages.length + (bytes < 0 ? 1 : 0));
  },
})));
print('consumed with eachMessage', await consumed(filled, MESSAGES, (count) => ({ concurrency: 64, eachMessage: async () => count(1) })));

async function serial(count) {
  const started = clock();
  for (let at = 0; at < count; at++) await producer.send({ topic: filled, body: BODY });
  return rate(count, started);
}

// Sends and consumes at once; after a third of the time, nothing should grow.
const steady = await topic('steady');
const stop = performance.now() + SECONDS * 1000;
const consumer = await client.pushConsumer({ consumerGroup: `bench-steady-${run}`, subscriptions: { [steady]: '*' }, consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET' });
let received = 0;
await consumer.run({ eachBatch: (messages) => { received += messages.length; } });
const samples = [];
const sampling = setInterval(() => {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  samples.push([rss, heapUsed, external]);
}, 1000);
let sent = 0;
while (performance.now() < stop) {
  await Promise.all(Array.from({ length: 200 }, () => producer.enqueue({ topic: steady, body: BODY })));
  sent += 200;
  // A pace that the broker's memory disk holds for the time.
  await new Promise((resolve) => setTimeout(resolve, 20));
}
clearInterval(sampling);
print(`sent and consumed in ${SECONDS} s`, sent);
print('consumed of these', received);
const third = samples.slice(Math.floor(samples.length / 3));
const mean = (rows, at) => rows.reduce((sum, row) => sum + row[at], 0) / rows.length;
for (const [at, what] of ['resident', 'JavaScript heap', 'external'].entries()) {
  const half = Math.floor(third.length / 2);
  const [before, after] = [mean(third.slice(0, half), at), mean(third.slice(half), at)];
  console.log(`memory, ${what}: ${(before / 2 ** 20).toFixed(1)} MiB, later ${(after / 2 ** 20).toFixed(1)} MiB`);
}
await client.close();
await broker?.close();
