import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
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
                case "create-topic":
                    createTopic(id, options);
                    say(id, "DONE");
                    break;
                case "create-group":
                    createGroup(id, options);
                    say(id, "DONE");
                    break;
                default:
                    throw new IllegalArgumentException("unknown command " + words[1]);
            }
        } catch (Throwable e) {
            say(id, "ERROR", String.valueOf(e).replaceAll("[\\t\\r\\n]+", " "));
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
        say(id, "SENT", new String(message.getBody(), StandardCharsets.UTF_8), result.getSendStatus(),
            result.getMsgId(), result.getMessageQueue().getQueueId(), result.getQueueOffset() + step);
    }

    private static void send(String id, Map<String, String> options, CountDownLatch stop) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(options.get("--group"));
        producer.setNamesrvAddr(options.get("--namesrv"));
        producer.setInstanceName("i" + id);
        producer.setSendMsgTimeout(10_000);
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
                Message message = new Message(topic, options.getOrDefault("--tag", ""), body.getBytes(StandardCharsets.UTF_8));
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
            if (mode.equals("oneway")) {
                stop.await();
            }
        } finally {
            producer.shutdown();
        }
    }

    private static void consume(String id, Map<String, String> options, CountDownLatch stop) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(options.get("--group"));
        consumer.setNamesrvAddr(options.get("--namesrv"));
        consumer.setInstanceName("i" + id);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        // What the listeners are done with is committed before the consumer leaves.
        consumer.setAwaitTerminationMillisWhenShutdown(10_000);
        consumer.setConsumeThreadMin(4);
        consumer.setConsumeThreadMax(4);
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
                accept(id, messages, deliveries, failTimes)
                    ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT);
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
                accept(id, messages, deliveries, failTimes)
                    ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER);
        }
        consumer.start();
        say(id, "READY");
        stop.await();
        consumer.shutdown();
    }

    private static boolean accept(String id, List<MessageExt> messages, Map<String, Integer> deliveries, int failTimes) {
        boolean ok = true;
        for (MessageExt message : messages) {
            String body = new String(message.getBody(), StandardCharsets.UTF_8);
            String tags = message.getTags();
            say(id, "RECV", body, message.getQueueId(), message.getQueueOffset(), message.getReconsumeTimes(),
                tags == null || tags.isEmpty() ? "-" : tags);
            ok &= deliveries.merge(body, 1, Integer::sum) > failTimes;
        }
        return ok;
    }

    /** MessageModel changed its package between 4.9 and 5.0. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void setBroadcasting(DefaultMQPushConsumer consumer) throws Exception {
        Method method = method(DefaultMQPushConsumer.class, "setMessageModel");
        method.invoke(consumer, Enum.valueOf((Class) method.getParameterTypes()[0], "BROADCASTING"));
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

    /** SubscriptionGroupConfig changed its package between 4.9 and 5.0. */
    private static void createGroup(String id, Map<String, String> options) throws Exception {
        DefaultMQAdminExt admin = admin(id, options);
        try {
            Method create = method(DefaultMQAdminExt.class, "createAndUpdateSubscriptionGroupConfig");
            Class<?> type = create.getParameterTypes()[1];
            Object config = type.getConstructor().newInstance();
            method(type, "setGroupName").invoke(config, options.get("--group"));
            method(type, "setRetryMaxTimes").invoke(config, Integer.parseInt(options.get("--retry-max")));
            create.invoke(admin, options.get("--broker"), config);
        } finally {
            admin.shutdown();
        }
    }

    private static DefaultMQAdminExt admin(String id, Map<String, String> options) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt();
        admin.setNamesrvAddr(options.get("--namesrv"));
        admin.setInstanceName("i" + id);
        admin.start();
        return admin;
    }

    private static void createTopic(String id, Map<String, String> options) throws Exception {
        DefaultMQAdminExt admin = admin(id, options);
        try {
            TopicConfig config = new TopicConfig(options.get("--topic"));
            config.setReadQueueNums(Integer.parseInt(options.getOrDefault("--read-queues", "4")));
            config.setWriteQueueNums(4);
            admin.createAndUpdateTopicConfig(options.get("--broker"), config);
        } finally {
            admin.shutdown();
        }
    }
}
