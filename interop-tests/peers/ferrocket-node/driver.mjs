// Our npm package behind the line protocol of ../README.md. The admin commands are left out.
import { createInterface } from 'node:readline';
import { Client } from 'ferrocket';

/** Messages of a batch. */
const BATCH = 16;
/** What the producer lets pass: more than a broker takes. */
const MESSAGE_MAX = 15 << 20;
const REQUEST_LIMIT = 30_000;
/** How often an answer is tried, and the pause between: the Broker does not know an asker before its heartbeat. */
const ANSWER_TRIES = 80;
const ANSWER_PAUSE = 250;
/** How long commands may take to end when the harness is gone. */
const END_LIMIT = 10_000;

const say = (id, ...fields) => process.stdout.write([id, ...fields].join('\t') + '\n');
const oneLine = (error) => String(error).replace(/[\t\n\r]/g, ' ');

class Command {
  constructor(id, options) {
    this.id = id;
    this.options = options;
    this.deliveries = new Map();
    this.isStopped = false;
    this.stopped = new Promise((resolve) => {
      this.stop = () => {
        this.isStopped = true;
        resolve();
      };
    });
  }

  async run(role) {
    const roles = { send: 'DONE', consume: 'STOPPED', reply: 'STOPPED' };
    try {
      if (!(role in roles)) throw new Error(`unknown command ${role}`);
      const client = await this.client();
      await this[role](client);
      await client.close();
      say(this.id, roles[role]);
    } catch (error) {
      say(this.id, 'ERROR', oneLine(error));
    }
  }

  client() {
    const { '--namesrv': namesrvAddr, '--access-key': accessKey, '--secret-key': secretKey, '--namespace': namespace } = this.options;
    const { '--ca': authority, '--certificate': certificate, '--key': key } = this.options;
    const tls = authority && {
      useTLS: true, 'tls.client.authServer': true, 'tls.client.anyHostName': true,
      'tls.client.trustCertPath': authority, 'tls.client.certPath': certificate, 'tls.client.keyPath': key,
    };
    return Client.connect({
      ...tls, namesrvAddr, accessKey, secretKey, namespace, instanceName: `i${this.id}`, enableTrace: '--trace' in this.options,
      unitName: this.options['--unit'], unitMode: '--unit' in this.options,
    });
  }

  producing() {
    return {
      producerGroup: this.options['--group'],
      sendMsgTimeout: 10_000,
      compressMsgBodyOverHowmuch: 2 ** 31 - 1,
      maxMessageSize: MESSAGE_MAX,
    };
  }

  /** Waits for `stop`, at most so long. */
  async pause(ms) {
    let timer;
    await Promise.race([this.stopped, new Promise((resolve) => (timer = setTimeout(resolve, ms)))]);
    clearTimeout(timer);
  }

  sent(body, result, step = 0) {
    say(this.id, 'SENT', body, result.sendStatus, result.msgId, result.messageQueue.queueId, result.queueOffset + step);
  }

  async send(client) {
    const { '--mode': mode = 'sync', '--topic': topic, '--prefix': prefix, '--tag': tags } = this.options;
    if (mode === 'transaction') return this.sendInTransaction(client);
    const producer = await client.producer(this.producing());
    const [count, interval, length, level] = ['--count', '--interval-ms', '--length', '--delay-level'].map((name) => Number(this.options[name] ?? 0));
    const pending = [];
    let batch = [];
    for (let i = 0; i < count; i++) {
      const key = i % 4;
      const body = mode === 'orderly' ? `${prefix}-${key}-${Math.floor(i / 4)}` : `${prefix}-${i}`;
      const message = { topic, body: body.padEnd(length, '.'), delayLevel: level };
      if (tags) message.tags = tags;
      if (mode === 'sync') {
        this.sent(body, await producer.send(message));
      } else if (mode === 'async') {
        const failed = (error) => say(this.id, 'SENT', body, `EXCEPTION ${oneLine(error)}`);
        pending.push(producer.enqueue(message).then((result) => this.sent(body, result), failed));
      } else if (mode === 'oneway') {
        await producer.sendOneway(message);
        say(this.id, 'SENT', body, 'ONEWAY');
      } else if (mode === 'orderly') {
        this.sent(body, await producer.sendOrdered(message, `key-${key}`));
      } else if (mode === 'request') {
        const answer = await producer.request(message, { timeout: REQUEST_LIMIT });
        say(this.id, 'SENT', body, 'SEND_OK');
        say(this.id, 'RECV', answer.body.toString(), 0, 0, 0, '-');
      } else if (mode === 'batch') {
        batch.push([body, message]);
        if (batch.length === BATCH || i + 1 === count) {
          const result = await producer.sendBatch(batch.map(([, one]) => one));
          batch.forEach(([one], step) => this.sent(one, result, step));
          batch = [];
        }
      } else {
        throw new Error(`unknown mode ${mode}`);
      }
      if (interval) await this.pause(interval);
      if (this.isStopped) break;
    }
    await Promise.all(pending);
    if ('--stay' in this.options) await this.stopped;
  }

  async sendInTransaction(client) {
    const state = (name) => this.options[name].replace(/^UNKNOW$/, 'UNKNOWN');
    const producer = await client.transactionProducer({
      ...this.producing(),
      checkLocalTransaction: (message) => {
        say(this.id, 'TOLD', 'checked', message.body.toString());
        return state('--check');
      },
    });
    for (let i = 0; i < Number(this.options['--count']); i++) {
      const body = `${this.options['--prefix']}-${i}`;
      const sent = await producer.sendInTransaction({ topic: this.options['--topic'], body }, () => state('--local'));
      // The offset it is told is the half message's.
      say(this.id, 'SENT', body, sent.sendStatus, sent.msgId, '-', '-');
    }
    await this.stopped;
  }

  consuming() {
    const { '--group': consumerGroup, '--topic': topic, '--expression': expression = '*', '--sql': sql } = this.options;
    const subscriptions = { [topic]: sql === undefined ? expression : { sql } };
    return { consumerGroup, subscriptions, consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET' };
  }

  async consume(client) {
    const { '--mode': mode = 'concurrent', '--max-reconsume': maxReconsumeTimes } = this.options;
    if (mode === 'lite') return this.consumeLite(client);
    const orderly = mode === 'orderly';
    const messageModel = mode === 'broadcast' ? 'BROADCASTING' : 'CLUSTERING';
    const consumer = await client.pushConsumer({ ...this.consuming(), orderly, messageModel, maxReconsumeTimes });
    const failure = orderly ? 'SUSPEND_CURRENT_QUEUE_A_MOMENT' : 'RECONSUME_LATER';
    await consumer.run({ concurrency: 4, eachMessage: (message) => (this.accept(message) ? undefined : failure) });
    say(this.id, 'READY');
    await this.stopped;
    await consumer.close();
  }

  /** A consumer that polls and commits when it is told to end. */
  async consumeLite(client) {
    const consumer = await client.litePullConsumer({ ...this.consuming(), autoCommit: false });
    say(this.id, 'READY');
    while (!this.isStopped) for (const message of await consumer.poll({ timeout: 200 })) this.accept(message);
    await consumer.commit();
    await consumer.close();
  }

  /** Answers requests: each is a delivery, each answer a send of `re-` and the request's body. */
  async reply(client) {
    const producer = await client.producer({ producerGroup: `answers-${this.id}` });
    const consumer = await client.pushConsumer(this.consuming());
    await consumer.run({
      eachMessage: async (message) => {
        this.accept(message);
        const body = `re-${message.body}`;
        for (let left = ANSWER_TRIES; ; left--) {
          try {
            return void say(this.id, 'SENT', body, (await producer.reply(message, body)).sendStatus);
          } catch (error) {
            if (left === 0) {
              say(this.id, 'ERROR', oneLine(error));
              throw error;
            }
            console.error(`${this.id}: ${error}`);
            await new Promise((resolve) => setTimeout(resolve, ANSWER_PAUSE));
          }
        }
      },
    });
    say(this.id, 'READY');
    await this.stopped;
    await consumer.close();
  }

  /** Reports a delivery and decides whether it succeeds. */
  accept(message) {
    let body = message.body.toString();
    if ('--length' in this.options) {
      const bare = body.replace(/\.+$/, '');
      // Nobody sent such a body: the ledger will say so.
      body = body.length === Number(this.options['--length']) ? bare : `${bare}!${body.length}`;
    }
    const age = Date.now() - message.bornTimestamp;
    say(this.id, 'RECV', body, message.queueId, message.queueOffset, message.reconsumeTimes, message.tags || '-', age);
    const count = (this.deliveries.get(body) ?? 0) + 1;
    this.deliveries.set(body, count);
    return count > Number(this.options['--fail-times'] ?? 0);
  }
}

const running = new Map();
const tasks = [];
for await (const line of createInterface({ input: process.stdin })) {
  const [id, role, ...words] = line.split('\t');
  if (!role) continue;
  if (role === 'stop') {
    running.get(id)?.stop();
    continue;
  }
  const options = {};
  for (let at = 0; at + 1 < words.length; at += 2) options[words[at]] = words[at + 1];
  const command = new Command(id, options);
  running.set(id, command);
  tasks.push(command.run(role));
}
for (const command of running.values()) command.stop();
await Promise.race([Promise.all(tasks), new Promise((resolve) => setTimeout(resolve, END_LIMIT).unref())]);
process.exit(0);
