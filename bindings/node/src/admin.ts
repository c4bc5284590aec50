// What an application needs to know of its cluster, and to set up in it.
import type { Handle } from './handle.js';
import { messagesOf, time, type MessageExt, type MessageQueue } from './message.js';

export interface BrokerData {
  cluster: string;
  brokerName: string;
  /** Addresses by broker id; 0 is the master. */
  brokerAddrs: Record<string, string>;
}

export interface ClusterInfo {
  brokerAddrTable: Record<string, BrokerData>;
  clusterAddrTable: Record<string, string[]>;
}

export interface TopicRouteData {
  orderTopicConf: string | null;
  queueDatas: {
    brokerName: string;
    readQueueNums: number;
    writeQueueNums: number;
    /** 4 to read, 2 to write, 1 as a template of others. */
    perm: number;
    topicSysFlag: number;
  }[];
  brokerDatas: BrokerData[];
}

/** A topic to be made. */
export interface TopicConfig {
  topic: string;
  /** Default 16. */
  readQueueNums?: number;
  /** Default 16. */
  writeQueueNums?: number;
  /** 4 to read, 2 to write; default 6. */
  perm?: number;
  order?: boolean;
  /** Brokers from 5.0 on: for instance `{ '+message.type': 'DELAY' }`. */
  attributes?: Readonly<Record<string, string>>;
}

/** A consumer group to be made; what is not given is as brokers have it by default. */
export interface SubscriptionGroupConfig {
  group: string;
  consumeEnable?: boolean;
  consumeFromMinEnable?: boolean;
  consumeBroadcastEnable?: boolean;
  retryQueueNums?: number;
  retryMaxTimes?: number;
  brokerId?: number;
  whichBrokerWhenConsumeSlowly?: number;
  notifyConsumerIdsChangedEnable?: boolean;
  attributes?: Readonly<Record<string, string>>;
}

export interface TopicOffset {
  messageQueue: MessageQueue;
  minOffset: number;
  maxOffset: number;
  /** ms since 1970, 0 for never. */
  lastUpdateTimestamp: number;
}

export interface ConsumeStats {
  consumeTps: number;
  offsets: {
    messageQueue: MessageQueue;
    brokerOffset: number;
    consumerOffset: number;
    lastTimestamp: number;
  }[];
}

export interface ConsumerConnection {
  connectionSet: { clientAddr: string; clientId: string; language: string; version: number }[];
  consumeFromWhere: string;
  consumeType: string;
  messageModel: string;
  subscriptionTable: Record<string, { topic: string; subString: string; expressionType: string }>;
}

/** Administration with a client's connections and account. Names are those that brokers have. */
export class Admin {
  readonly #handle: Handle;

  /** @internal */
  constructor(handle: Handle) {
    this.#handle = handle;
  }

  /** The brokers of all clusters that the NameServer knows. */
  clusterInfo(): Promise<ClusterInfo> {
    return this.#handle.ask('clusterInfo');
  }

  /** The names of all topics, those of RocketMQ's own among them. */
  topics(): Promise<string[]> {
    return this.#handle.ask('topics');
  }

  /** Which brokers have a topic, and how many queues of it. */
  topicRoute(topic: string): Promise<TopicRouteData> {
    return this.#handle.ask('topicRoute', topic);
  }

  /** Makes a topic on every broker, or gives it these settings where it is. */
  async createTopic(topic: TopicConfig): Promise<void> {
    const { topic: topicName, ...rest } = topic ?? {};
    await this.#handle.ask('createTopic', { topicName, ...rest });
  }

  async deleteTopic(topic: string): Promise<void> {
    await this.#handle.ask('deleteTopic', topic);
  }

  /** Makes a consumer group on every broker, or gives it these settings. */
  async createGroup(group: SubscriptionGroupConfig): Promise<void> {
    const { group: groupName, ...rest } = group ?? {};
    await this.#handle.ask('createGroup', { groupName, ...rest });
  }

  /** Removes a consumer group and its offsets. */
  async deleteGroup(group: string): Promise<void> {
    await this.#handle.ask('deleteGroup', group);
  }

  /** First and last offset of every queue of a topic. */
  topicStats(topic: string): Promise<TopicOffset[]> {
    return this.#handle.ask('topicStats', topic);
  }

  /** How far a group is in every queue of a topic. */
  consumeStats(group: string, topic: string): Promise<ConsumeStats> {
    return this.#handle.ask('consumeStats', { group, topic });
  }

  /** Who consumes in a group; `undefined` when nobody is connected. */
  async consumerConnection(group: string, topic: string): Promise<ConsumerConnection | undefined> {
    return (
      (await this.#handle.ask<ConsumerConnection | null>('consumerConnection', { group, topic })) ?? undefined
    );
  }

  /** The message with this id of a broker, {@link SendResult.offsetMsgId}. */
  async viewMessage(topic: string, offsetMsgId: string): Promise<MessageExt> {
    const { data } = await this.#handle.call('viewMessage', { topic, offsetMsgId });
    return messagesOf(data)[0] as MessageExt;
  }

  /** Up to `max` (default 32) messages of a topic with this key, stored between the two times; the oldest first. */
  async queryMessage(
    topic: string,
    key: string,
    options: { max?: number; begin?: Date; end?: Date } = {},
  ): Promise<MessageExt[]> {
    const { max = 32, begin = new Date(0), end = new Date() } = options ?? {};
    const times = { begin: time('begin', begin), end: time('end', end) };
    return messagesOf((await this.#handle.call('queryMessage', { topic, key, max, ...times })).data);
  }

  /** The message with this id of its producer, {@link SendResult.msgId}; `undefined` where there is none. */
  async queryMessageByUniqueKey(topic: string, msgId: string): Promise<MessageExt | undefined> {
    return messagesOf((await this.#handle.call('queryMessageByUniqueKey', { topic, msgId })).data)[0];
  }

  /** Has a group go on with the first message stored at this time or later; answers where that is. */
  async resetOffset(
    group: string,
    topic: string,
    to: Date,
  ): Promise<{ messageQueue: MessageQueue; offset: number }[]> {
    return this.#handle.ask('resetOffset', { group, topic, time: time('to', to) });
  }
}
