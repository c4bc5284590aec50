import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/**
 * What a send costs the Java client. Arguments: NameServer, topic, messages, warm-up messages, window (1: synchronous
 * sends), bytes of a body, threads that share the synchronous sends. Prints "cpu", nanoseconds of this process for the
 * messages, and how many failed.
 */
public class ClientBench {
    public static void main(String[] args) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("client-bench-java");
        producer.setNamesrvAddr(args[0]);
        producer.start();
        String topic = args[1];
        int count = Integer.parseInt(args[2]);
        int warmUp = Integer.parseInt(args[3]);
        int window = Integer.parseInt(args[4]);
        byte[] body = new byte[Integer.parseInt(args[5])];
        int threads = Integer.parseInt(args[6]);
        send(producer, topic, body, warmUp, window, threads);
        OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long before = system.getProcessCpuTime();
        int failed = send(producer, topic, body, count, window, threads);
        System.out.println("cpu\t" + (system.getProcessCpuTime() - before) + "\t" + failed);
        producer.shutdown();
        System.exit(0);
    }

    private static int send(DefaultMQProducer producer, String topic, byte[] body, int count, int window,
        int threads) throws Exception {
        if (window == 1) {
            ExecutorService pool = Executors.newFixedThreadPool(threads);
            List<Future<Void>> shares = new ArrayList<>();
            for (int number = 0; number < threads; number++) {
                // These shares add up to count.
                int share = (count + number) / threads;
                shares.add(pool.submit(() -> {
                    for (int i = 0; i < share; i++) {
                        producer.send(new Message(topic, body));
                    }
                    return null;
                }));
            }
            for (Future<Void> share : shares) {
                share.get();
            }
            pool.shutdown();
            return 0;
        }
        AtomicInteger failed = new AtomicInteger();
        Semaphore room = new Semaphore(window);
        for (int i = 0; i < count; i++) {
            room.acquire();
            producer.send(new Message(topic, body), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    room.release();
                }

                @Override
                public void onException(Throwable error) {
                    failed.incrementAndGet();
                    room.release();
                }
            });
        }
        room.acquire(window);
        return failed.get();
    }
}
