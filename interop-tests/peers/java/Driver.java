import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.trace.TraceView;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.exception.RemotingException;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * The Java peer. Speaks the line protocol of ../README.md; compiles against rocketmq-client and
 * rocketmq-tools 4.9.8 and 5.3.3 alike, so what moved between packages is reached by reflection.
 */
public class Driver {
    /** Commands under way that a `stop` line may end. */
    private static final Map<String, CountDownLatch> RUNNING = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        List<Thread> threads = new ArrayList<>();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split("\t");
            if (words.length < 2) {
                continue;
            }
            String id = words[0];
            if (words[1].equals("stop")) {
                CountDownLatch stop = RUNNING.get(id);
                if (stop != null) {
                    stop.countDown();
                }
                continue;
            }
            CountDownLatch stop = new CountDownLatch(1);
            RUNNING.put(id, stop);
            Thread thread = new Thread(() -> run(id, words, stop));
            threads.add(thread);
            thread.start();
        }
        for (CountDownLatch stop : RUNNING.values()) {
            stop.countDown();
        }
        for (Thread thread : threads) {
            thread.join(TimeUnit.SECONDS.toMillis(10));
        }
        System.exit(0);
    }

    private static void run(String id, String[] words, CountDownLatch stop) {
        try {
            Map<String, String> options = new HashMap<>();
            for (int i = 2; i + 1 < words.length; i += 2) {
                options.put(words[i], words[i + 1]);
            }
            switch (words[1]) {
                case "send":
                    send(id, options, stop);
                    say(id, "DONE");
                    break;
                case "consume":
                    consume(id, options, stop);
                    say(id, "STOPPED");
                    break;
                case "reply":
                    reply(id, options, stop);
                    say(id, "STOPPED");
                    break;
                case "create-topic":
                case "create-group":
                case "reset-offset":
                case "clone-offset":
                case "consume-directly":
                case "running-info":
                case "clients":
                case "committed":
                case "trace":
                    administer(id, words[1], options);
                    say(id, "DONE");
                    break;
                default:
                    throw new IllegalArgumentException("unknown command " + words[1]);
            }
        } catch (Throwable e) {
            String text = String.valueOf(e) + (e.getCause() == null ? "" : ": " + e.getCause());
            say(id, "ERROR", text.replaceAll("[\\t\\r\\n]+", " "));
        } finally {
            RUNNING.remove(id);
        }
    }

    private static void say(String id, Object... fields) {
        StringBuilder line = new StringBuilder(id);
        for (Object field : fields) {
            line.append('\t').append(field);
        }
        synchronized (System.out) {
            System.out.println(line);
            System.out.flush();
        }
    }

    private static void sent(String id, Message message, SendResult result, long step) {
        String body = new String(message.getBody(), StandardCharsets.UTF_8).replaceAll("\\.+$", "");
        say(id, "SENT", body, result.getSendStatus(),
            result.getMsgId(), result.getMessageQueue().getQueueId(), result.getQueueOffset() + step);
    }

    private static void send(String id, Map<String, String> options, CountDownLatch stop) throws Exception {
        DefaultMQProducer producer = producer(id, options);
        producer.start();
        try {
            String topic = options.get("--topic");
            String prefix = options.get("--prefix");
            String mode = options.getOrDefault("--mode", "sync");
            int count = Integer.parseInt(options.get("--count"));
            long interval = Long.parseLong(options.getOrDefault("--interval-ms", "0"));
            CountDownLatch answers = new CountDownLatch(mode.equals("async") ? count : 0);
            List<Message> batch = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                String body = mode.equals("orderly") ? prefix + "-" + i % 4 + "-" + i / 4 : prefix + "-" + i;
                byte[] bytes = pad(body, options).getBytes(StandardCharsets.UTF_8);
                Message message = new Message(topic, options.getOrDefault("--tag", ""), bytes);
                if (options.containsKey("--delay-level")) {
                    message.setDelayTimeLevel(Integer.parseInt(options.get("--delay-level")));
                }
                if (options.containsKey("--dispatch")) {
                    message.putUserProperty("INNER_MULTI_DISPATCH", options.get("--dispatch"));
                }
                switch (mode) {
                    case "sync":
                        sent(id, message, producer.send(message), 0);
                        break;
                    case "async":
                        producer.send(message, new SendCallback() {
                            @Override public void onSuccess(SendResult result) {
                                sent(id, message, result, 0);
                                answers.countDown();
                            }

                            @Override public void onException(Throwable e) {
                                say(id, "SENT", body, "EXCEPTION " + e);
                                answers.countDown();
                            }
                        });
                        break;
                    case "oneway":
                        producer.sendOneway(message);
                        say(id, "SENT", body, "ONEWAY");
                        break;
                    case "orderly":
                        sent(id, message, producer.send(message,
                            (queues, m, key) -> queues.get((Integer) key % queues.size()), i % 4), 0);
                        break;
                    case "transaction":
                        // The offset it is told is the half message's.
                        SendResult half = ((TransactionMQProducer) producer).sendMessageInTransaction(message, null);
                        say(id, "SENT", body, half.getSendStatus(), half.getMsgId(), "-", "-");
                        break;
                    case "request":
                        Message answer = request(producer, message);
                        say(id, "SENT", body, "SEND_OK");
                        say(id, "RECV", new String(answer.getBody(), StandardCharsets.UTF_8), 0, 0, 0, "-");
                        break;
                    case "batch":
                        batch.add(message);
                        if (batch.size() == 16 || i == count - 1) {
                            SendResult result = producer.send(batch);
                            for (int step = 0; step < batch.size(); step++) {
                                sent(id, batch.get(step), result, step);
                            }
                            batch.clear();
                        }
                        break;
                    default:
                        throw new IllegalArgumentException("unknown mode " + mode);
                }
                if (stop.getCount() == 0 || interval > 0 && stop.await(interval, TimeUnit.MILLISECONDS)) {
                    break;
                }
            }
            if (!answers.await(30, TimeUnit.SECONDS)) {
                throw new IllegalStateException(answers.getCount() + " asynchronous sends without an answer");
            }
            if (options.containsKey("--stay")) {
                stop.await();
            }
        } finally {
            producer.shutdown();
        }
    }

    private static DefaultMQProducer producer(String id, Map<String, String> options) throws Exception {
        String group = options.get("--group");
        DefaultMQProducer producer;
        if (options.getOrDefault("--mode", "sync").equals("transaction")) {
            TransactionMQProducer transactions = new TransactionMQProducer(group, credentials(options));
            LocalTransactionState local = LocalTransactionState.valueOf(options.get("--local"));
            LocalTransactionState check = LocalTransactionState.valueOf(options.get("--check"));
            transactions.setTransactionListener(new TransactionListener() {
                @Override public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                    return local;
                }

                @Override public LocalTransactionState checkLocalTransaction(MessageExt message) {
                    say(id, "TOLD", "checked", new String(message.getBody(), StandardCharsets.UTF_8));
                    return check;
                }
            });
            producer = transactions;
        } else {
            producer = new DefaultMQProducer(group, credentials(options), options.containsKey("--trace"), null);
        }
        configure(id, options, producer);
        producer.setSendMsgTimeout(10_000);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        if (options.containsKey("--compress")) {
            // Which is 5.x's.
            Method setType = method(DefaultMQProducer.class, "setCompressType");
            setType.invoke(producer, enumValue(setType.getParameterTypes()[0], options.get("--compress")));
            producer.setCompressMsgBodyOverHowmuch(4096);
        }
        producer.setMaxMessageSize(16 << 20);
        return producer;
    }

    /**
     * Asks and waits. Not by the call that waits by itself: 5.3.3's does so for the send's answer only. The callback is
     * called for the send's answer too, with nothing.
     */
    private static Message request(DefaultMQProducer producer, Message message) throws Exception {
        CompletableFuture<Message> answer = new CompletableFuture<>();
        producer.request(message, new RequestCallback() {
            @Override public void onSuccess(Message reply) {
                if (reply != null) {
                    answer.complete(reply);
                }
            }

            @Override public void onException(Throwable e) {
                answer.completeExceptionally(e);
            }
        }, 30_000);
        return answer.get(40, TimeUnit.SECONDS);
    }

    private static void configure(String id, Map<String, String> options, ClientConfig config) {
        config.setNamesrvAddr(options.get("--namesrv"));
        config.setInstanceName("i" + id);
        // Many JVMs share a few cores: a question for a route may wait longer than the usual 3 s for its turn.
        config.setMqClientApiTimeout(20_000);
        if (options.containsKey("--namespace")) {
            config.setNamespace(options.get("--namespace"));
        }
        if (options.containsKey("--unit")) {
            config.setUnitMode(true);
            config.setUnitName(options.get("--unit"));
        }
    }

    /** What signs requests, or null without `--access-key`. */
    private static RPCHook credentials(Map<String, String> options) {
        String name = options.get("--access-key");
        return name == null ? null : new AclClientRPCHook(new SessionCredentials(name, options.get("--secret-key")));
    }

    /** Makes a body as long as `--length` says. */
    private static String pad(String body, Map<String, String> options) {
        StringBuilder padded = new StringBuilder(body);
        for (int i = Integer.parseInt(options.getOrDefault("--length", "0")); i > body.length(); i--) {
            padded.append('.');
        }
        return padded.toString();
    }

    /** The body without its padding; one of another length than `--length` keeps a mark that says so. */
    private static String body(Message message, Map<String, String> options) {
        String body = new String(message.getBody(), StandardCharsets.UTF_8);
        if (!options.containsKey("--length")) {
            return body;
        }
        String bare = body.replaceAll("\\.+$", "");
        return body.length() == Integer.parseInt(options.get("--length")) ? bare : bare + "!" + body.length();
    }

    /** Answers requests: each is a delivery, each answer a send of `re-` and the request's body. */
    private static void reply(String id, Map<String, String> options, CountDownLatch stop) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("answers-" + id);
        configure("answers" + id, options, producer);
        producer.setSendMsgTimeout(10_000);
        producer.start();
        DefaultMQPushConsumer consumer = consumer(id, options);
        consumer.subscribe(options.get("--topic"), "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            accept(id, messages, options, new ConcurrentHashMap<>(), 0);
            try {
                for (MessageExt message : messages) {
                    answer(id, producer, message, stop);
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            } catch (Exception e) {
                say(id, "ERROR", String.valueOf(e).replaceAll("[\\t\\r\\n]+", " "));
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
        });
        consumer.start();
        say(id, "READY");
        stop.await();
        consumer.shutdown();
        producer.shutdown();
    }

    /**
     * The Broker does not know an asker that has sent no heartbeat yet: the answer is tried for some time, and given up
     * when the command is told to end.
     */
    private static void answer(String id, DefaultMQProducer producer, MessageExt request, CountDownLatch stop)
        throws Exception {
        String body = "re-" + new String(request.getBody(), StandardCharsets.UTF_8);
        Message answer = MessageUtil.createReplyMessage(request, body.getBytes(StandardCharsets.UTF_8));
        for (int round = 0; round < 80; round++) {
            try {
                say(id, "SENT", body, producer.send(answer).getSendStatus());
                return;
            } catch (MQClientException | RemotingException e) {
                System.err.println(id + ": " + e);
                if (stop.await(250, TimeUnit.MILLISECONDS)) {
                    return;
                }
            }
        }
        throw new IllegalStateException("no answer to " + body + " was taken");
    }

    /** A consumer that polls, and commits what it got. */
    private static void consumeLite(String id, Map<String, String> options, CountDownLatch stop) throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(options.get("--group"), credentials(options));
        configure(id, options, consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAutoCommit(false);
        consumer.subscribe(options.get("--topic"), options.getOrDefault("--expression", "*"));
        consumer.start();
        say(id, "READY");
        Map<String, Integer> deliveries = new ConcurrentHashMap<>();
        while (stop.getCount() > 0) {
            List<MessageExt> messages = consumer.poll(200);
            accept(id, messages, options, deliveries, 0);
            if (!messages.isEmpty()) {
                consumer.commitSync();
            }
        }
        consumer.shutdown();
    }

    /** Pulls a light queue from its first message on. Its Broker is known from the topic of whose messages it is. */
    private static void consumeLight(String id, Map<String, String> options, CountDownLatch stop) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(options.get("--group"));
        configure(id, options, consumer);
        consumer.start();
        consumer.maxOffset(new MessageQueue(options.get("--of"), options.get("--broker-name"), 0));
        MessageQueue queue = new MessageQueue(options.get("--topic"), options.get("--broker-name"), 0);
        say(id, "READY");
        Thread puller = new Thread(() -> {
            try {
                long offset = 0;
                while (stop.getCount() > 0) {
                    PullResult pulled = consumer.pullBlockIfNotFound(queue, "*", offset, 32);
                    if (pulled.getMsgFoundList() != null) {
                        accept(id, pulled.getMsgFoundList(), options, new HashMap<>(), 0);
                    }
                    offset = pulled.getNextBeginOffset();
                }
            } catch (Exception e) {
                // What the Broker holds at the end is interrupted.
                if (stop.getCount() > 0) {
                    say(id, "ERROR", String.valueOf(e).replaceAll("[\\t\\r\\n]+", " "));
                }
            }
        });
        puller.start();
        stop.await();
        puller.interrupt();
        puller.join();
        consumer.shutdown();
    }

    private static DefaultMQPushConsumer consumer(String id, Map<String, String> options) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(options.get("--group"), credentials(options),
            new AllocateMessageQueueAveragely(), options.containsKey("--trace"), null);
        configure(id, options, consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        // What the listeners are done with is committed before the consumer leaves.
        consumer.setAwaitTerminationMillisWhenShutdown(10_000);
        consumer.setConsumeThreadMin(4);
        consumer.setConsumeThreadMax(4);
        return consumer;
    }

    private static void consume(String id, Map<String, String> options, CountDownLatch stop) throws Exception {
        if (options.getOrDefault("--mode", "").equals("lite")) {
            consumeLite(id, options, stop);
            return;
        }
        if (options.getOrDefault("--mode", "").equals("light")) {
            consumeLight(id, options, stop);
            return;
        }
        DefaultMQPushConsumer consumer = consumer(id, options);
        if (options.containsKey("--max-reconsume")) {
            consumer.setMaxReconsumeTimes(Integer.parseInt(options.get("--max-reconsume")));
        }
        String mode = options.getOrDefault("--mode", "concurrent");
        if (mode.equals("broadcast")) {
            setBroadcasting(consumer);
        }
        if (options.containsKey("--sql")) {
            consumer.subscribe(options.get("--topic"), MessageSelector.bySql(options.get("--sql")));
        } else {
            consumer.subscribe(options.get("--topic"), options.getOrDefault("--expression", "*"));
        }
        int failTimes = Integer.parseInt(options.getOrDefault("--fail-times", "0"));
        Map<String, Integer> deliveries = new ConcurrentHashMap<>();
        if (mode.equals("orderly")) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) ->
                accept(id, messages, options, deliveries, failTimes)
                    ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT);
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
                accept(id, messages, options, deliveries, failTimes)
                    ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER);
        }
        consumer.start();
        say(id, "READY");
        stop.await();
        consumer.shutdown();
    }

    private static boolean accept(String id, List<MessageExt> messages, Map<String, String> options,
        Map<String, Integer> deliveries, int failTimes) {
        boolean ok = true;
        for (MessageExt message : messages) {
            String body = body(message, options);
            String tags = message.getTags();
            say(id, "RECV", body, message.getQueueId(), message.getQueueOffset(), message.getReconsumeTimes(),
                tags == null || tags.isEmpty() ? "-" : tags, System.currentTimeMillis() - message.getBornTimestamp());
            ok &= deliveries.merge(body, 1, Integer::sum) > failTimes;
        }
        return ok;
    }

    /** MessageModel changed its package between 4.9 and 5.0. */
    private static void setBroadcasting(DefaultMQPushConsumer consumer) throws Exception {
        Method method = method(DefaultMQPushConsumer.class, "setMessageModel");
        method.invoke(consumer, enumValue(method.getParameterTypes()[0], "BROADCASTING"));
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static Object enumValue(Class<?> type, String name) {
        return Enum.valueOf((Class) type, name);
    }

    /** The first public method of that name. */
    private static Method method(Class<?> type, String name) throws NoSuchMethodException {
        for (Method method : type.getMethods()) {
            if (method.getName().equals(name)) {
                return method;
            }
        }
        throw new NoSuchMethodException(type.getName() + "." + name);
    }

    private static void administer(String id, String command, Map<String, String> options) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(credentials(options), 20_000);
        admin.setNamesrvAddr(options.get("--namesrv"));
        admin.setInstanceName("i" + id);
        admin.start();
        try {
            administer(id, command, options, admin);
        } finally {
            admin.shutdown();
        }
    }

    private static void administer(String id, String command, Map<String, String> options, DefaultMQAdminExt admin)
        throws Exception {
        String group = options.get("--group");
        String topic = options.get("--topic");
        switch (command) {
            case "create-topic":
                TopicConfig config = new TopicConfig(topic);
                config.setReadQueueNums(Integer.parseInt(options.getOrDefault("--read-queues", "4")));
                config.setWriteQueueNums(4);
                admin.createAndUpdateTopicConfig(options.get("--broker"), config);
                break;
            case "create-group":
                createGroup(admin, options.get("--broker"), group, Integer.parseInt(options.get("--retry-max")));
                break;
            case "reset-offset":
                long time = Long.parseLong(options.get("--time"));
                admin.resetOffsetByTimestamp(topic, group, time, true, options.containsKey("--c-form"));
                break;
            case "clone-offset":
                admin.cloneGroupOffset(group, options.get("--to"), topic, true);
                break;
            case "consume-directly":
                say(id, "TOLD", admin.consumeMessageDirectly(group, client(admin, group), topic, options.get("--message-id"))
                    .getConsumeResult());
                break;
            case "running-info":
                var info = admin.getConsumerRunningInfo(group, client(admin, group), false);
                info.getSubscriptionSet().forEach(one -> say(id, "TOLD", "subscribes", one.getTopic()));
                info.getMqTable().keySet().forEach(queue -> say(id, "TOLD", "holds", queue.getTopic(), queue.getQueueId()));
                break;
            case "clients":
                admin.examineConsumerConnectionInfo(group).getConnectionSet()
                    .forEach(one -> say(id, "TOLD", one.getClientId()));
                break;
            case "committed":
                committed(admin, group, topic, Long.parseLong(options.get("--count")));
                break;
            case "trace":
                trace(id, admin, options.get("--message-id"), Integer.parseInt(options.get("--count")));
                break;
            default:
                throw new IllegalArgumentException("unknown command " + command);
        }
    }

    /** The id of a group's only client. */
    private static String client(DefaultMQAdminExt admin, String group) throws Exception {
        return admin.examineConsumerConnectionInfo(group).getConnectionSet().iterator().next().getClientId();
    }

    /** Waits until the group has committed so many messages of the topic. */
    private static void committed(DefaultMQAdminExt admin, String group, String topic, long count) throws Exception {
        String seen = "none";
        for (int round = 0; round < 250; round++) {
            try {
                long[] sum = {0};
                admin.examineConsumeStats(group, topic).getOffsetTable().forEach((queue, offset) ->
                    sum[0] += queue.getTopic().equals(topic) ? Math.max(0, offset.getConsumerOffset()) : 0);
                if (sum[0] >= count) {
                    return;
                }
                seen = String.valueOf(sum[0]);
            } catch (MQClientException | MQBrokerException e) {
                seen = e.toString();
            }
            TimeUnit.MILLISECONDS.sleep(200);
        }
        throw new IllegalStateException("not " + count + " messages were committed, but " + seen);
    }

    /** What mqadmin's queryMsgTraceById finds; the clients send their traces some time later. */
    private static void trace(String id, DefaultMQAdminExt admin, String messageId, int count) throws Exception {
        Set<String> seen = new HashSet<>();
        for (int round = 0; seen.size() < count && round < 300; round++) {
            try {
                long end = System.currentTimeMillis() + 3_600_000;
                for (MessageExt message : admin.queryMessage("RMQ_SYS_TRACE_TOPIC", messageId, 64, 0, end).getMessageList()) {
                    for (TraceView view : TraceView.decodeFromTraceTransData(messageId, message)) {
                        String row = view.getMsgType() + "\t" + view.getGroupName() + "\t" + view.getStatus();
                        if (seen.add(row)) {
                            say(id, "TOLD", row);
                        }
                    }
                }
            } catch (MQClientException e) {
                // Nothing is there yet.
            }
            TimeUnit.MILLISECONDS.sleep(100);
        }
    }

    /** SubscriptionGroupConfig changed its package between 4.9 and 5.0. */
    private static void createGroup(DefaultMQAdminExt admin, String broker, String group, int retries) throws Exception {
        Method create = method(DefaultMQAdminExt.class, "createAndUpdateSubscriptionGroupConfig");
        Class<?> type = create.getParameterTypes()[1];
        Object config = type.getConstructor().newInstance();
        method(type, "setGroupName").invoke(config, group);
        method(type, "setRetryMaxTimes").invoke(config, retries);
        create.invoke(admin, broker, config);
    }
}
