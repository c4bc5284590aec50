import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.store.ConsumeQueue;
import org.apache.rocketmq.store.ConsumeQueueExt;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.GetMessageResult;
import org.apache.rocketmq.store.MessageExtBrokerInner;
import org.apache.rocketmq.store.PutMessageResult;
import org.apache.rocketmq.store.QueryMessageResult;
import org.apache.rocketmq.store.SelectMappedBufferResult;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

/**
 * Opens a store folder with Java's own store, lists it, writes messages, lists it again, and stops cleanly
 * (close) or at once (halt).
 *
 * Arguments: folder, bytes of a segment, bytes of a queue file, index slots, index entries, messages to write,
 * their label, close|halt, ext|plain (enableConsumeQueueExt, in files of 1,000 bytes).
 *
 * Output, in lines that begin with "tool: ": "before" and "after", each followed by a line for every entry of every queue:
 * topic, queue id, offset, the message's own queue and offset, its places in other queues, message id, hash of
 * the body, tags code of the entry, results of a query for its unique key.
 * "refused" if the folder does not load, Java's own words if it does not start.
 */
public class StoreTool {
    private static final InetSocketAddress HOST = new InetSocketAddress("127.0.0.1", 10911);
    private static final String[] TOPICS = {"TopicA", "TopicB", "%RETRY%group"};

    public static void main(String[] args) throws Exception {
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(args[0]);
        config.setStorePathCommitLog(args[0] + "/commitlog");
        config.setMappedFileSizeCommitLog(Integer.parseInt(args[1]));
        config.setMappedFileSizeConsumeQueue(Integer.parseInt(args[2]));
        config.setMaxHashSlotNum(Integer.parseInt(args[3]));
        config.setMaxIndexNum(Integer.parseInt(args[4]));
        config.setHaListenPort(0);
        config.setEnableLmq(true);
        config.setEnableMultiDispatch(true);
        config.setEnableConsumeQueueExt(args[8].equals("ext"));
        config.setMappedFileSizeConsumeQueueExt(1000);
        int count = Integer.parseInt(args[5]);
        DefaultMessageStore store =
            new DefaultMessageStore(config, new BrokerStatsManager("tool", false), null, new BrokerConfig());
        // Java's broker recovers before it knows its delay levels: entries of delayed messages that it makes again
        // after a crash say that they are due at once. That is not what is compared here.
        store.getScheduleMessageService().parseDelayLevel();
        if (!store.load()) {
            say("refused");
            Runtime.getRuntime().halt(3);
        }
        try {
            store.start();
        } catch (RuntimeException refusal) {
            // Threads of the store are running already; without this the program would not end.
            say(refusal.getMessage());
            Runtime.getRuntime().halt(4);
        }
        say("before");
        list(store);
        for (int number = 0; number < count; number++) {
            put(store, TOPICS[number % TOPICS.length], number % 2, args[6] + "-" + number, number);
        }
        while (store.dispatchBehindBytes() > 0) {
            Thread.sleep(10);
        }
        say("after");
        list(store);
        if (args[7].equals("halt")) {
            Runtime.getRuntime().halt(0);
        }
        store.shutdown();
        Runtime.getRuntime().halt(0);
    }

    /** The store's log goes to the same place; what is said is marked. */
    private static void say(String line) {
        System.out.println("tool: " + line);
        System.out.flush();
    }

    private static void put(DefaultMessageStore store, String topic, int queueId, String body, int number) {
        MessageExtBrokerInner message = new MessageExtBrokerInner();
        message.setTopic(topic);
        message.setQueueId(queueId);
        StringBuilder text = new StringBuilder(body);
        for (int i = 0; i < number * 37 % 900; i++) {
            text.append((char) ('a' + i % 26));
        }
        message.setBody(text.toString().getBytes(StandardCharsets.UTF_8));
        message.setBornTimestamp(System.currentTimeMillis());
        message.setBornHost(HOST);
        message.setStoreHost(HOST);
        MessageAccessor.putProperty(message, MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, "id-" + body);
        message.setKeys("k-" + body + " all");
        if (number % 3 != 0) {
            message.setTags("Tag" + number % 3);
        }
        if (number % 10 == 9) {
            // The longest level: nothing is delivered while this runs.
            message.setDelayTimeLevel(18);
        }
        if (number % 4 == 0) {
            String queues = number % 8 == 0 ? "%LMQ%a,%LMQ%b" : "%LMQ%b";
            MessageAccessor.putProperty(message, MessageConst.PROPERTY_INNER_MULTI_DISPATCH, queues);
        }
        message.setPropertiesString(MessageDecoder.messageProperties2String(message.getProperties()));
        PutMessageResult result = store.putMessage(message);
        if (!result.isOk()) {
            throw new IllegalStateException(body + ": " + result.getPutMessageStatus());
        }
    }

    private static void list(DefaultMessageStore store) {
        for (String topic : new TreeMap<>(store.getConsumeQueueTable()).keySet()) {
            Map<Integer, ConsumeQueue> queues = new TreeMap<>(store.getConsumeQueueTable().get(topic));
            for (int queueId : queues.keySet()) {
                long max = store.getMaxOffsetInQueue(topic, queueId);
                for (long offset = store.getMinOffsetInQueue(topic, queueId); offset < max; offset++) {
                    say(line(store, topic, queueId, offset));
                }
            }
        }
    }

    private static String line(DefaultMessageStore store, String topic, int queueId, long offset) {
        GetMessageResult result = store.getMessage("tool", topic, queueId, offset, 1, null);
        if (result.getMessageMapedList().isEmpty()) {
            return topic + " " + queueId + " " + offset + " " + result.getStatus();
        }
        SelectMappedBufferResult buffer = result.getMessageMapedList().get(0);
        ByteBuffer bytes = buffer.getByteBuffer().slice();
        MessageExt message = MessageDecoder.decode(bytes, true, false);
        result.release();
        String key = message.getProperty(MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX);
        QueryMessageResult found = store.queryMessage(message.getTopic(), key, 32, 0, Long.MAX_VALUE);
        // After a crash Java indexes the newest indexed message again.
        long matches = found.getMessageBufferList().stream().map(match -> match.getLong(28)).distinct().count();
        found.release();
        SelectMappedBufferResult entry = store.getConsumeQueue(topic, queueId).getIndexBuffer(offset);
        long tagsCode = entry.getByteBuffer().getLong(12);
        entry.release();
        ConsumeQueueExt.CqExtUnit unit = store.getConsumeQueue(topic, queueId).getExt(tagsCode);
        if (unit != null) {
            tagsCode = unit.getTagsCode();
        }
        int hash = new String(message.getBody(), StandardCharsets.UTF_8).hashCode();
        String own = message.getTopic() + "-" + message.getQueueId() + "-" + message.getQueueOffset();
        String places = message.getProperty(MessageConst.PROPERTY_INNER_MULTI_QUEUE_OFFSET);
        return topic + " " + queueId + " " + offset + " " + own + " " + places + " " + message.getMsgId() + " "
            + hash + " " + tagsCode + " " + matches;
    }
}
