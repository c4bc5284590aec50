import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Runs many of mqadmin's commands in one process.
 *
 * Input: one command a line, its words with tabs between. Output: what it prints, each line behind "| ", then "done".
 *
 * Of its own is "clients NAMESRV PRODUCER_GROUP CONSUMER_GROUP TOPIC COUNT", which starts a producer and a consumer, waits
 * for COUNT messages and commits them. Both live as long as the tool.
 */
public class AdminTool {
    private static final long CONSUME_LIMIT_SECONDS = 30;

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        hurryShutdowns(Thread.currentThread());
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ByteArrayOutputStream said = new ByteArrayOutputStream();
            PrintStream captured = new PrintStream(said, true, "UTF-8");
            System.setOut(captured);
            System.setErr(captured);
            run(line.split("\t"));
            captured.flush();
            for (String text : said.toString("UTF-8").split("\n")) {
                out.println("| " + text);
            }
            out.println("done");
            out.flush();
        }
        // Clients leave threads behind.
        Runtime.getRuntime().halt(0);
    }

    private static void run(String[] words) throws Exception {
        if (words[0].equals("clients")) {
            startClients(words[1], words[2], words[3], words[4], Integer.parseInt(words[5]));
        } else {
            forgetCommands();
            MQAdminStartup.main0(words, null);
        }
    }

    /** Commands keep the options of their last run, and each run adds all of them again; the list's name changed. */
    private static void forgetCommands() throws Exception {
        for (Field field : MQAdminStartup.class.getDeclaredFields()) {
            if (List.class.isAssignableFrom(field.getType())) {
                field.setAccessible(true);
                ((List<?>) field.get(null)).clear();
            }
        }
    }

    /** 5.3.3's client has a thread that looks up every three seconds, and so ends, with each command, as late. */
    private static void hurryShutdowns(Thread main) {
        Thread hurry = new Thread(() -> {
            while (true) {
                for (StackTraceElement frame : main.getStackTrace()) {
                    if (frame.getClassName().endsWith("NettyRemotingClient") && frame.getMethodName().equals("shutdown")) {
                        Thread.getAllStackTraces().keySet().stream()
                            .filter(thread -> thread.getName().startsWith("NettyEventExecutor"))
                            .forEach(Thread::interrupt);
                    }
                }
                LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
            }
        });
        hurry.setDaemon(true);
        hurry.start();
    }

    private static void startClients(String namesrv, String producers, String consumers, String topic, int count)
        throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(producers);
        producer.setNamesrvAddr(namesrv);
        producer.setInstanceName("live");
        producer.start();
        // A producer that has sent nothing knows no topic, and no broker to send its heartbeat to.
        producer.getDefaultMQProducerImpl().fetchPublishMessageQueues(topic);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(consumers);
        consumer.setNamesrvAddr(namesrv);
        consumer.setInstanceName("live");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        CountDownLatch consumed = new CountDownLatch(count);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> consumed.countDown());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        producer.getDefaultMQProducerImpl().getmQClientFactory().sendHeartbeatToAllBrokerWithLock();
        if (!consumed.await(CONSUME_LIMIT_SECONDS, TimeUnit.SECONDS)) {
            System.out.println("not consumed: " + consumed.getCount());
        }
        // Offsets move on after the listener has returned.
        TimeUnit.MILLISECONDS.sleep(300);
        consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
        TimeUnit.MILLISECONDS.sleep(300);
    }
}
