// The Node peer: ali-ons behind the line protocol of ../README.md.
'use strict';

const readline = require('node:readline');
const { Consumer, Producer, Message } = require('ali-ons');

const running = new Map();

/** None of them belongs to queue 0, whose messages the library spreads over all queues. */
const SHARDING_KEYS = [ 'a', 'b', 'd', 'e' ];

/** The library logs to the console by default; standard output belongs to the protocol. */
const logger = {
  debug() {},
  info() {},
  warn: (...args) => console.error(...args),
  error: (...args) => console.error(...args),
};

function say(id, ...fields) {
  process.stdout.write([id, ...fields].join('\t') + '\n');
}

function configuration(id, options) {
  const settings = {
    nameSrv: options['--namesrv'],
    httpclient: {}, // asserted by the library, not used with nameSrv
    instanceName: `i${id}`,
    logger,
  };
  if (options['--namespace']) settings.namespace = options['--namespace'];
  if (options['--access-key']) {
    settings.accessKeyId = options['--access-key'];
    settings.accessKeySecret = options['--secret-key'];
  }
  return settings;
}

/** Resolves to true when `stop` came within the time. */
function stopped(stop, ms) {
  let timer;
  const late = new Promise(resolve => { timer = setTimeout(() => resolve(false), ms); });
  return Promise.race([ stop.then(() => true), late ]).finally(() => clearTimeout(timer));
}

async function send(id, options, stop) {
  const producer = new Producer({ ...configuration(id, options), producerGroup: options['--group'] });
  producer.on('error', error => console.error(error));
  await producer.ready();
  try {
    const mode = options['--mode'] || 'sync';
    const count = Number(options['--count']);
    const interval = Number(options['--interval-ms'] || 0);
    const answers = [];
    for (let i = 0; i < count; i++) {
      const key = i % 4;
      const orderly = mode === 'orderly';
      const body = orderly ? `${options['--prefix']}-${key}-${Math.floor(i / 4)}` : `${options['--prefix']}-${i}`;
      const message = new Message(options['--topic'], options['--tag'] || '', body);
      if (options['--delay-level']) message.delayTimeLevel = Number(options['--delay-level']);
      if (orderly) message.shardingKey = SHARDING_KEYS[key];
      const answer = producer.send(message).then(result => {
        say(id, 'SENT', body, result.sendStatus, result.msgId, result.messageQueue.queueId, result.queueOffset);
      });
      if (mode === 'sync' || orderly) {
        await answer;
      } else if (mode === 'async') {
        answers.push(answer);
      } else {
        throw new Error(`unknown mode ${mode}`);
      }
      if (interval && await stopped(stop, interval)) break;
    }
    await Promise.all(answers);
  } finally {
    await producer.close();
  }
}

async function consume(id, options, stop) {
  const mode = options['--mode'] || 'concurrent';
  const settings = {
    ...configuration(id, options),
    consumerGroup: options['--group'],
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    isBroadcast: mode === 'broadcast',
    // The library locks no queues; one message at a time is what it has of order.
    parallelConsumeLimit: mode === 'orderly' ? 1 : 4,
  };
  if (options['--max-reconsume']) settings.maxReconsumeTimes = Number(options['--max-reconsume']);
  const consumer = new Consumer(settings);
  consumer.on('error', error => console.error(error));
  const failTimes = Number(options['--fail-times'] || 0);
  const deliveries = new Map();
  consumer.subscribe(options['--topic'], options['--expression'] || '*', async message => {
    const body = message.body.toString();
    const age = Date.now() - message.bornTimestamp;
    say(id, 'RECV', body, message.queueId, message.queueOffset, message.reconsumeTimes, message.tags || '-', age);
    const count = (deliveries.get(body) || 0) + 1;
    deliveries.set(body, count);
    // Thrown: of a handler called for a redelivery the library drops Consumer.ACTION_RETRY.
    if (count <= failTimes) throw new Error(`failure ${count} of ${body}`);
  });
  await consumer.ready();
  say(id, 'READY');
  await stop;
  await consumer.close();
}

async function run(id, role, options, stop) {
  try {
    if (role === 'send') {
      await send(id, options, stop);
      say(id, 'DONE');
    } else if (role === 'consume') {
      await consume(id, options, stop);
      say(id, 'STOPPED');
    } else {
      throw new Error(`unknown command ${role}`);
    }
  } catch (error) {
    say(id, 'ERROR', String(error).replace(/\s+/g, ' '));
  }
}

// The library's inner producer emits errors that nobody can listen to, as when a broker goes.
process.on('uncaughtException', error => console.error(error));

const tasks = [];
const lines = readline.createInterface({ input: process.stdin });
lines.on('line', line => {
  const [ id, role, ...words ] = line.split('\t');
  if (!role) return;
  if (role === 'stop') {
    const entry = running.get(id);
    if (entry) entry();
    return;
  }
  const options = {};
  for (let i = 0; i + 1 < words.length; i += 2) options[words[i]] = words[i + 1];
  const stop = new Promise(resolve => running.set(id, resolve));
  tasks.push(run(id, role, options, stop));
});
lines.on('close', async () => {
  for (const stop of running.values()) stop();
  await stopped(Promise.all(tasks), 10000);
  process.exit(0);
});
